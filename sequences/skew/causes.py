"""Why what a request read is not what the offline store has for it: what came later, and what is skew.

A view is compared again with the events that had arrived when the request read it, position by position from the newest
on: that end is what a model looks at, and an event missing there shifts all the others. Legend: E events of one user.
Knows nothing about Feast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sequences.offline.event_table import read_view
from sequences.offline.list_reader import fill_missing
from sequences.skew.arrivals import Arrivals
from sequences.skew.request_log import FeatureLists, LoggedRequest, nan_to_none
from sequences.timeline import microseconds
from sequences.views import ATTRIBUTES, SEQUENCE_VIEWS, SequenceView

MAX_EVENT_AGE = timedelta(days=31)
"""The service takes events that are up to 30 days old."""

PROFILE = "user_profile"
DURATION_ATTRIBUTES = ("played_ratio", "behaviour")
"""What follows from a track's length."""


@dataclass
class Difference:
    """What became of one request: `values` were compared, `unequal` has one entry a value that is skew."""

    values: int = 0
    restated: int = 0
    is_late: bool = False
    is_early: bool = False
    is_stale: bool = False
    is_pending: bool = False
    unequal: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class UserEvents:
    """One user's events of one view in the event table, in its order."""

    known_us_E: NDArray[np.int64]
    event_ids: list[str]
    columns: pa.RecordBatch

    def take(self, places: Sequence[int]) -> FeatureLists:
        """Attribute ▸ list of the events at these places."""
        rows = self.columns.take(pa.array(places, pa.int64()))
        return {
            name: nan_to_none(name, fill_missing(ATTRIBUTES[name].kind, rows[name]).to_pylist())
            for name in rows.schema.names
        }


@dataclass(frozen=True)
class SkewClassifier:
    """What is known of the users of some requests. `events` is view ▸ user; `estimated` holds tracks of unknown length."""

    arrivals: Arrivals
    events: dict[str, dict[str, UserEvents]]
    profiles: dict[str, list[dict[str, Any]]]
    estimated_tracks: frozenset[str]

    @classmethod
    def load(
        cls, requests: Sequence[LoggedRequest], marts_folder: Path, home: Path, landing: Path | None = None
    ) -> SkewClassifier:
        """Of the users of these requests; `landing` is below `home` or given."""
        users = sorted({request.user_id for request in requests})
        first = datetime.fromtimestamp(min(request.at_us for request in requests) / 1e6, tz=UTC)
        profiles: dict[str, list[dict[str, Any]]] = {}
        rows = pq.read_table(marts_folder / "user_profiles.parquet", filters=[("user_id", "in", users)])
        for row in rows.sort_by("known_at").to_pylist():
            profiles.setdefault(row["user_id"], []).append(row)
        tracks = marts_folder / "tracks.parquet"
        estimated = pq.read_table(tracks, columns=["track_id"], filters=[("is_duration_estimated", "==", True)])
        return cls(
            arrivals=Arrivals.load(users, home, (first - MAX_EVENT_AGE).date(), landing),
            events={
                name: _user_events(marts_folder / "events.parquet", view, users)
                for name, view in SEQUENCE_VIEWS.items()
            },
            profiles=profiles,
            estimated_tracks=frozenset(estimated["track_id"].to_pylist()),
        )

    def classify(self, online: LoggedRequest, offline: LoggedRequest) -> Difference:
        """How the two differ, for a reason or without."""
        found = Difference()
        if self._reads_unlanded(online):
            found.is_pending = True
            return found
        for name, view in online.views.items():
            if view == offline.views[name]:
                found.values += sum(len(values) for values in view.values())
            elif SEQUENCE_VIEWS[name].is_daily:
                self._compare_daily(online, SEQUENCE_VIEWS[name], found)
            else:
                self._compare_view(online, SEQUENCE_VIEWS[name], found)
        self._compare_profile(online, offline, found)
        return found

    def _reads_unlanded(self, request: LoggedRequest) -> bool:
        read = {event for view in request.views.values() for event in view["event_id"]}
        return any(event in self.arrivals.live_positions and event not in self.arrivals.landed_us for event in read)

    def _compare_view(self, request: LoggedRequest, view: SequenceView, found: Difference) -> None:
        online, nobody = request.views[view.name], UserEvents(np.zeros(0, np.int64), [], pa.record_batch({}))
        events = self.events[view.name].get(request.user_id, nobody)
        before = int(np.searchsorted(events.known_us_E, request.at_us))
        read, early = set(online["event_id"]), set(online["event_id"]) & set(events.event_ids[before:])
        places: list[int] = []
        for place in range(before - 1, -1, -1):
            if len(places) == view.length - len(early):
                break
            event = events.event_ids[place]
            if event in read or not self.arrivals.arrived_after(event, int(events.known_us_E[place]), request):
                places.append(place)
            else:
                found.is_late = True
        found.is_early = found.is_early or bool(early)
        shown = [place for place, event in enumerate(online["event_id"]) if event not in early]
        given = {name: [values[place] for place in shown] for name, values in online.items()}
        wanted = events.take(places[::-1]) if places else {name: [] for name in online}
        self._compare_lists(view.name, given, {name: wanted[name] for name in online}, found)

    def _compare_daily(self, request: LoggedRequest, view: SequenceView, found: Difference) -> None:
        """What the last materialisation had is all that a request can know of a daily view.

        What it knew besides follows from something missing, which may have landed since: those events are left out.
        """
        online, nobody = request.views[view.name], UserEvents(np.zeros(0, np.int64), [], pa.record_batch({}))
        events = self.events[view.name].get(request.user_id, nobody)
        batch = self.arrivals.materialization_for(request)
        as_of_us = min(view.cutoff_us(request.at_us), batch.as_of_us) if batch else 0
        found.is_stale = found.is_stale or as_of_us < view.cutoff_us(request.at_us)
        shown, there = list(range(len(online["event_id"]))), set(events.event_ids)
        if batch and self._has_landed_later(request.user_id, as_of_us, batch.events_us):
            shown = [place for place in shown if online["event_id"][place] in there]
        before = range(int(np.searchsorted(events.known_us_E, as_of_us)))
        landed_us, events_us = self.arrivals.landed_us, batch.events_us if batch else 0
        places = [place for place in before if landed_us.get(events.event_ids[place], 0) <= events_us]
        undone = len(online["event_id"]) - len(shown)
        found.is_late = found.is_late or undone > 0 or len(places) < len(before)
        places = places[max(len(places) - view.length + undone, 0) :]
        given = {name: [values[place] for place in shown] for name, values in online.items()}
        wanted = events.take(places) if places else {name: [] for name in online}
        self._compare_lists(view.name, given, {name: wanted[name] for name in online}, found)

    def _compare_lists(self, view: str, given: FeatureLists, wanted: FeatureLists, found: Difference) -> None:
        both = min(len(given["event_id"]), len(wanted["event_id"]))
        longest = max(len(given["event_id"]), len(wanted["event_id"]))
        is_same_E = [False] + [given["event_id"][-ago] == wanted["event_id"][-ago] for ago in range(1, both + 1)]
        for name, values in given.items():
            found.values += longest
            for ago in range(1, longest + 1):
                online = values[-ago] if ago <= len(values) else None
                offline = wanted[name][-ago] if ago <= len(wanted[name]) else None
                if ago <= both and online == offline:
                    continue
                is_same = ago <= both and is_same_E[ago]
                if is_same and name in DURATION_ATTRIBUTES and given["track_id"][-ago] in self.estimated_tracks:
                    found.restated += 1
                    continue
                found.unequal.append({"feature": f"{view}:{name}", "ago": ago, "online": online, "offline": offline})

    def _compare_profile(self, online: LoggedRequest, offline: LoggedRequest, found: Difference) -> None:
        found.values += len(online.profile)
        odd = [name for name, value in online.profile.items() if value != offline.profile[name]]
        if not odd:
            return
        batch = self.arrivals.materialization_for(online)
        known = [
            row for row in self.profiles.get(online.user_id, []) if _microseconds_of(row["known_at"]) <= online.at_us
        ]
        reached = sum(_microseconds_of(row["known_at"]) <= batch.as_of_us for row in known) if batch else 0
        # What was materialised last, or anything newer: a run that was under way had reached some users already.
        might: list[dict[str, Any]] = [*([] if reached else [{}]), *known[max(reached - 1, 0) :]]
        given = {name.removeprefix(f"{PROFILE}__"): value for name, value in online.profile.items()}
        if any(all(row.get(name) == value for name, value in given.items()) for row in might):
            found.is_stale = True
        elif batch and self._has_landed_later(online.user_id, batch.as_of_us, batch.events_us):
            found.is_late = True
        else:
            for name in odd:
                values = {"online": online.profile[name], "offline": offline.profile[name]}
                found.unequal.append({"feature": name.replace("__", ":"), **values})

    def _has_landed_later(self, user_id: str, as_of_us: int, events_us: int) -> bool:
        """Whether an event that a materialised profile should count was landed after its event table was made."""
        return any(
            known_us < as_of_us and self.arrivals.landed_us.get(event, 0) > events_us
            for users in self.events.values()
            if (events := users.get(user_id)) is not None
            for event, known_us in zip(events.event_ids, events.known_us_E.tolist(), strict=True)
        )


def _user_events(path: Path, view: SequenceView, users: list[str]) -> dict[str, UserEvents]:
    batches = list(read_view(path, view, view.attribute_names, pa.array(users, pa.string())))
    if not batches:
        return {}
    rows = pa.Table.from_batches(batches).combine_chunks()
    starts: dict[str, int] = {}
    for place, user in enumerate(rows["user_id"].to_pylist()):
        starts.setdefault(user, place)
    ends = [*list(starts.values())[1:], rows.num_rows]
    found = {}
    for (user, start), end in zip(starts.items(), ends, strict=True):
        (mine,) = rows.slice(start, end - start).to_batches()
        columns = mine.select(list(view.attribute_names))
        found[user] = UserEvents(microseconds(mine["known_at"]), mine["event_id"].to_pylist(), columns)
    return found


def _microseconds_of(time: datetime) -> int:
    return (time.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
