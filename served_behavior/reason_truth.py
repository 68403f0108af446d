"""Whether the reason of a recommendation is true, judged by the events of the user and the tracks of the marts.

Independent of how channels compute reasons: one rule per message code.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from content import FACETS
from recommender.recall.long_short.channel import KEEPS_LISTENING
from recommender.recall.reason import (
    JUST_NOW_US,
    MOST_WEEKS,
    OFTEN_A_MONTH,
    OFTEN_A_WEEK,
    REGULAR_MONTHS,
    WEEKS,
    Reason,
    ReasonParameter,
    name_phrase,
)
from recommender.user.user_batch import KEPT_BEHAVIORS, LISTEN_BEHAVIORS
from sequences.sequence_views import DAY_US, SEQUENCE_VIEWS
from served_behavior.listeners import Listener
from serving.messages import render_reason

SHARED = {
    "shared_artist": "artist_names",
    "shared_album": "album_id",
    "shared_facet": "",
    "shared_language": "languages",
}
"""Claim about two tracks → their column with the value that they share; "": any facet."""
HISTORY_DAYS_TOLERANCE = 1


@dataclass(frozen=True)
class TrackFacts:
    """What the marts say of all tracks."""

    rows: Mapping[str, Mapping[str, Any]]  # track id → row of the mart `tracks`
    listens: Mapping[str, int]  # of all users by track
    people: Mapping[str, int]  # distinct listeners by track
    titled: Mapping[str, Sequence[Mapping[str, Any]]]  # title → rows

    @classmethod
    def read(cls, marts: Path) -> TrackFacts:
        """From the marts `tracks` and `events`."""
        columns = ["track_id", "title", "artist_names", "album_id", *FACETS]
        tracks = pl.read_parquet(marts / "tracks.parquet", columns=columns)
        listens = pl.scan_parquet(marts / "events.parquet").filter(pl.col("behavior").is_in(LISTEN_BEHAVIORS))
        counts = listens.group_by("track_id").agg(pl.len(), pl.col("user_id").n_unique()).collect().rows()
        rows, titled = {row["track_id"]: row for row in tracks.iter_rows(named=True)}, defaultdict(list)
        for row in rows.values():
            titled[row["title"]].append(row)
        plays, people = ({track: row[column] for track, *row in counts} for column in (0, 1))
        return cls(rows, plays, people, titled)

    def names(self, track_ids: Iterable[str]) -> set[ReasonParameter]:
        """How reasons name these tracks, and their artists."""
        found: set[ReasonParameter] = set()
        for track_id in track_ids:
            if row := self.rows.get(track_id):
                title, artists = row["title"] or "", [name for name in row["artist_names"] or [] if name]
                found |= {name_phrase(title, artists[0] if artists else ""), *artists}
        return found

    def values(self, track_ids: Iterable[str]) -> set[str]:
        """Facet values and artist names of these tracks."""
        rows = [self.rows[track_id] for track_id in track_ids if track_id in self.rows]
        return {value for row in rows for name in (*FACETS, "artist_names") for value in row[name] or []}


class ReasonTruth:
    """Judges the reasons of one listener's recommendations."""

    def __init__(self, facts: TrackFacts, listener: Listener) -> None:
        self._facts, self._now_us = facts, listener.now_us
        self._listens, self._kept = listener.count(LISTEN_BEHAVIORS), listener.count(KEPT_BEHAVIORS)
        self._is_complete = self._listens.total() < SEQUENCE_VIEWS["played_history"].length
        frequent = [track for track, times in self._listens.items() if times >= KEEPS_LISTENING]
        self._times: dict[str, list[int]] = defaultdict(list)
        for one in listener.events:
            if one["behavior"] in LISTEN_BEHAVIORS:
                self._times[one["track_id"]].append(one["ended_at"])
        newest = listener.views["recent_events"][-SEQUENCE_VIEWS["recent_events"].length :]
        self._recent = {one["track_id"] for one in newest if one["behavior"] in LISTEN_BEHAVIORS}
        names, values = facts.names(self._listens), facts.values(self._listens)
        just_now = self._now_us - JUST_NOW_US
        self._just_now = {track for track, times in self._times.items() if max(times) > just_now}
        self._rules: dict[str, Callable[[str, Mapping[str, Any]], bool]] = {
            "listened_before": lambda track, _: self._has_listens(track, 1),
            "listened_times": lambda track, p: self._has_listens(track, p["times"]),
            "last_listened": lambda track, p: self._was(track, p["days"]),
            "listens_these_days": lambda track, _: self._weeks_ago(track).count(0) >= OFTEN_A_WEEK,
            "listens_most_weeks": lambda track, _: len({*self._weeks_ago(track)} & {*range(WEEKS)}) >= MOST_WEEKS,
            "listened_in_month": lambda track, p: (
                self._months(track).count(self._named_month(p["month"])) >= OFTEN_A_MONTH
            ),
            "listened_since": lambda track, p: (
                len({*self._months(track)}) >= REGULAR_MONTHS and self._named_month(p["month"]) in self._months(track)
            ),
            "liked": lambda track, _: self._kept[track] > 0,
            "liked_track": lambda _, p: p["track"] in self._facts.names(self._kept),
            "listened_to_track": lambda _, p: p["track"] in names,
            "keeps_listening_to_track": lambda _, p: p["track"] in self._facts.names(frequent),
            "played_recently": lambda track, _: track in self._recent,
            "played_just_now": lambda track, _: track in self._just_now,
            "played_track_recently": lambda _, p: p["track"] in self._facts.names(self._recent),
            "played_track_just_now": lambda _, p: p["track"] in self._facts.names(self._just_now),
            "listens_to": lambda _, p: p["start"] in names,
            "listens_to_path": lambda _, p: p["start"] in names and all(map(self._is_fact, p["steps"])),
            "listens_to_interest": lambda _, p: set(p["interest"]) <= values,
            "likes_interest": lambda _, p: set(p["interest"]) <= self._facts.values(self._kept),
            "near_interests": lambda *_: self._listens.total() > 0,
            "recent_activity": lambda *_: bool(listener.events),
            "listened_by_people": lambda track, p: p["people"] == self._facts.people.get(track, 0),
            "listened_times_overall": lambda track, p: p["times"] == self._facts.listens.get(track, 0),
            "listened_once_overall": lambda track, _: self._facts.listens.get(track, 0) == 1,
            "most_played": lambda track, _: self._facts.listens.get(track, 0) > 0,
        }

    def is_true(self, track_id: str, reason: Reason | None) -> bool:
        """Whether the marts confirm the reason; a missing or unknown reason is not confirmed."""
        rule = self._rules.get(reason.code) if reason is not None else None
        return reason is not None and rule is not None and rule(track_id, reason.parameters)

    def _has_listens(self, track: str, times: int) -> bool:
        """Whether the track was listened to so often; at least, if the history is longer than the models read."""
        listens = self._listens[track]
        return listens == times or (not self._is_complete and listens > times > 0)

    def _was(self, track: str, days: int) -> bool:
        return abs((self._now_us - max(self._times[track], default=0)) // DAY_US - days) <= HISTORY_DAYS_TOLERANCE

    def _weeks_ago(self, track: str) -> list[int]:
        return [(self._now_us - time) // (7 * DAY_US) for time in self._times[track]]

    def _months(self, track: str) -> list[tuple[int, int]]:
        return [_month_of(time) for time in self._times[track]]

    def _named_month(self, name: Reason) -> tuple[int, int]:
        """Year and month of a name; without a year, the last month of this name."""
        (year, this_month), words = _month_of(self._now_us), render_reason(name, "en").split()
        month = datetime.strptime(words[0], "%B").month
        return int(words[1]) if words[1:] else year - (month > this_month), month

    def _is_fact(self, step: Reason) -> bool:
        """Whether two named tracks share what a step claims; steps that name other things are facts of the graph."""
        column = SHARED.get(step.code)
        if column is None:
            return True
        pairs = [self._named(step.parameters[end]) for end in ("x", "y")]
        shared = step.parameters["z"]
        wanted = set(shared) if isinstance(shared, tuple) else {shared}
        if not all(pairs) or column == "album_id":
            return True
        columns = (column,) if column else FACETS
        return all(
            any(wanted <= {value for name in columns for value in row[name] or []} for row in rows) for rows in pairs
        )

    def _named(self, name: ReasonParameter) -> Sequence[Mapping[str, Any]]:
        if not isinstance(name, Reason) or "title" not in name.parameters:
            return ()
        return self._facts.titled.get(str(name.parameters["title"]), ())


def _month_of(time_us: int) -> tuple[int, int]:
    at = datetime.fromtimestamp(time_us / 1e6, UTC)
    return at.year, at.month
