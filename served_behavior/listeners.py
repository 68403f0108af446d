"""Listeners of a behavioral test: their history from the marts, with events that did not happen added to it.

The rows are those that the online store has of a user, so the pipeline of the service answers as it would answer them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from recommender.user.user_batch import LISTEN_BEHAVIORS
from sequences.online.reader import StoredUser
from sequences.sequence_views import SEQUENCE_VIEWS, SequenceView

FULL_PLAY_MS, SKIP_MS, GAP_MS = 200_000, 5_000, 2_000
Event = Mapping[str, Any]


@dataclass(frozen=True)
class Listener:
    """A user, with what the log has and with added reactions."""

    user_id: str
    events: Sequence[Event]  # of the whole log, and the added ones, in the order in which they became known
    views: Mapping[str, Sequence[Event]]  # sequence view → its newest events
    profile: Mapping[str, Sequence[Any]]  # features of the view `user_profile`
    now_us: int  # time of the next request or reaction

    def react(self, behavior: str, target_ids: Sequence[str], target_type: str = "track") -> Listener:
        """The listener after reacting to each of the tracks (or artists) in turn."""
        played_ms, now_us = {"skip": SKIP_MS, "full_play": FULL_PLAY_MS}.get(behavior, 0), self.now_us
        added: list[Event] = []
        for target_id in target_ids:
            began, now_us = now_us, now_us + (played_ms + GAP_MS) * 1000
            added.append(
                {
                    "event_id": f"behavior-{now_us}",
                    "target_type": target_type,
                    "target_id": target_id,
                    "track_id": target_id if target_type == "track" else "",
                    "behavior": behavior,
                    "occurred_at": began,
                    "ended_at": began + played_ms * 1000,
                    "sequence_number": now_us,
                    "played_ratio": {"skip": 0.02, "full_play": 1.0}.get(behavior),
                    "scene": "private_fm",
                }
            )
        views = {name: [*self.views[name], *_shown(view, added)] for name, view in SEQUENCE_VIEWS.items()}
        return replace(self, events=[*self.events, *added], views=views, now_us=now_us)

    def read_events(self, user_id: str) -> StoredUser:
        """See `OnlineFeatureReader`."""
        return self.read(user_id)

    def read(self, user_id: str, known: Hashable = None) -> StoredUser:
        """The views of this user, whatever the id: what `OnlineFeatureReader` asks for."""
        del user_id, known
        rows: dict[str, Mapping[str, Sequence[Any]]] = {"user_profile": self.profile}
        for name, view in SEQUENCE_VIEWS.items():
            found = [one for one in self.views[name] if one["ended_at"] < view.cutoff_us(self.now_us)][-view.length :]
            rows[name] = {attribute: [one[attribute] for one in found] for attribute in view.attribute_names}
        return StoredUser(lambda: rows)

    def count(self, behaviors: Sequence[str]) -> Counter[str]:
        """Number of events with these behaviors by track."""
        return Counter(one["track_id"] for one in self.events if one["behavior"] in behaviors)


def _shown(view: SequenceView, events: Sequence[Event]) -> list[Event]:
    return [one for one in events if view.matches(one["behavior"], one["target_type"])][-view.length :]


@dataclass(frozen=True)
class Listeners:
    """Users of the marts, in a fixed order that does not depend on their activity."""

    by_id: Mapping[str, Listener]
    plays_total: Mapping[str, int]  # listens of every user of the log

    @classmethod
    def read(cls, marts: Path, users: int) -> Listeners:
        """At most `users` users with a listen, an hour after the newest event of the log."""
        times = ("occurred_at", "ended_at", "known_at")
        events = pl.scan_parquet(marts / "events.parquet").with_columns(
            *(pl.col(name).dt.timestamp("us") for name in times), pl.col("track_id").fill_null("")
        )
        listens = events.filter(pl.col("behavior").is_in(LISTEN_BEHAVIORS)).group_by("user_id").len().collect()
        chosen = listens.sort(pl.col("user_id").hash(0), "user_id").head(users)["user_id"].to_list()
        now_us = int(events.select(pl.col("known_at").max()).collect().item()) + 3_600_000_000
        rows = events.filter(pl.col("user_id").is_in(chosen)).sort("user_id", "known_at").collect()
        profiles = _profiles(marts, chosen)
        by_id = {}
        for user in chosen:
            log = rows.filter(pl.col("user_id") == user).to_dicts()
            views = {name: _shown(view, log) for name, view in SEQUENCE_VIEWS.items()}
            by_id[user] = Listener(user, log, views, profiles.get(user, {}), now_us)
        return cls(by_id, dict(listens.iter_rows()))

    def groups(self, marts: Path) -> dict[str, dict[str, str]]:
        """Users by third of activity and by the language that they listen to most."""
        ordered = sorted(self.plays_total, key=lambda user: (self.plays_total[user], user))
        names = ("least active third", "middle third", "most active third")
        thirds = {user: names[3 * number // len(ordered)] for number, user in enumerate(ordered)}
        languages = pl.scan_parquet(marts / "tracks.parquet").select("track_id", pl.col("languages").list.first())
        listens = pl.scan_parquet(marts / "events.parquet").filter(pl.col("behavior").is_in(LISTEN_BEHAVIORS))
        counts = listens.join(languages, on="track_id").drop_nulls("languages").group_by("user_id", "languages").len()
        most = counts.sort("len", "languages", descending=True).unique("user_id", keep="first").collect()
        return {"activity": thirds, "language": dict(zip(most["user_id"], most["languages"], strict=True))}


def _profiles(marts: Path, users: Sequence[str]) -> dict[str, dict[str, list[Any]]]:
    newest = pl.scan_parquet(marts / "user_profiles.parquet").filter(pl.col("user_id").is_in(users)).sort("known_at")
    rows = newest.group_by("user_id").last().drop("known_at").collect().to_dicts()
    return {row.pop("user_id"): {name: [value] for name, value in row.items()} for row in rows}
