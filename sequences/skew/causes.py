"""Classification of differences between online and offline features: by late arrival, or as skew.

A view is compared again with the events that had arrived when the request read it, position by position from the newest
event, because models read that end and a missing event shifts all older positions. Legend: E events of one user.
Independent of Feast.

Arrival times of events: when each event became available to the online store, as opposed to when it happened.

An event reported to the service has a number in the event store. An event from a file was landed when the Parquet file was
written, and reached the online store with a later materialization run. Independent of features.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from event_store.store import EventStore, Position
from sequences.offline.event_table import read_view
from sequences.offline.list_reader import fill_missing
from sequences.online.materialization_state import MaterializationRun, read_materializations
from sequences.skew.feature_log import FeatureLists, LoggedRequest, nan_to_none
from sequences.timeline import microseconds
from sequences.views import ATTRIBUTES, SEQUENCE_VIEWS, SequenceView
from storage import object_store

PAGE_EVENTS = 10_000
"""Events that are read from the event store at once."""

PROFILE = "user_profile"
DURATION_ATTRIBUTES = ("played_ratio", "behaviour")
"""Attributes that depend on the track length."""


@dataclass
class Difference:
    """Classified difference of one request; see `sequences/skew/compare.py` for the terms."""

    values: int = 0  # compared values
    restated: int = 0  # values that changed with an estimated track length
    is_late: bool = False
    is_early: bool = False
    is_stale: bool = False
    is_pending: bool = False
    unequal: list[dict[str, Any]] = field(default_factory=list)  # one entry per value with skew


@dataclass(frozen=True)
class UserEvents:
    """One user's events of one view, in the order of the event table."""

    known_us_E: NDArray[np.int64]  # µs UTC
    event_ids: list[str]
    columns: pa.RecordBatch  # the view's attributes

    def take(self, places: Sequence[int]) -> FeatureLists:
        """Attribute ▸ list of the events at these positions."""
        rows = self.columns.take(pa.array(places, pa.int64()))
        return {
            name: nan_to_none(name, fill_missing(ATTRIBUTES[name].kind, rows[name]).to_pylist())
            for name in rows.schema.names
        }


@dataclass(frozen=True)
class SkewClassifier:
    """Classifier of differences, with all data of the users of some requests."""

    arrivals: Arrivals
    events: dict[str, dict[str, UserEvents]]  # view ▸ user ▸ events
    profiles: dict[str, list[dict[str, Any]]]  # user ▸ rows of the profile mart, oldest first
    estimated_tracks: frozenset[str]  # tracks whose length is estimated

    @classmethod
    def load(
        cls, requests: Sequence[LoggedRequest], events: EventStore, marts_folder: Path, home: Path, landing: Path
    ) -> SkewClassifier:
        """A classifier for these requests."""
        users = sorted({request.user_id for request in requests})
        profiles: dict[str, list[dict[str, Any]]] = {}
        rows = pq.read_table(marts_folder / "user_profiles.parquet", filters=[("user_id", "in", users)])
        for row in rows.sort_by("known_at").to_pylist():
            profiles.setdefault(row["user_id"], []).append(row)
        tracks = marts_folder / "tracks.parquet"
        estimated = pq.read_table(tracks, columns=["track_id"], filters=[("is_duration_estimated", "==", True)])
        return cls(
            arrivals=Arrivals.load(users, events, home, landing),
            events={
                name: _user_events(marts_folder / "events.parquet", view, users)
                for name, view in SEQUENCE_VIEWS.items()
            },
            profiles=profiles,
            estimated_tracks=frozenset(estimated["track_id"].to_pylist()),
        )

    def classify(self, online: LoggedRequest, offline: LoggedRequest) -> Difference:
        """Classify the differences between a request's online and offline features."""
        difference = Difference()
        if self._reads_unlanded(online):
            difference.is_pending = True
            return difference
        for name, view in online.views.items():
            if view == offline.views[name]:
                difference.values += sum(len(values) for values in view.values())
            elif SEQUENCE_VIEWS[name].is_daily:
                self._compare_daily(online, SEQUENCE_VIEWS[name], difference)
            else:
                self._compare_view(online, SEQUENCE_VIEWS[name], difference)
        self._compare_profile(online, offline, difference)
        return difference

    def _reads_unlanded(self, request: LoggedRequest) -> bool:
        read = {event for view in request.views.values() for event in view["event_id"]}
        return any(event in self.arrivals.numbers and event not in self.arrivals.landed_us for event in read)

    def _compare_view(self, request: LoggedRequest, view: SequenceView, difference: Difference) -> None:
        online, no_events = request.views[view.name], UserEvents(np.zeros(0, np.int64), [], pa.record_batch({}))
        events = self.events[view.name].get(request.user_id, no_events)
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
                difference.is_late = True
        difference.is_early = difference.is_early or bool(early)
        compared = [place for place, event in enumerate(online["event_id"]) if event not in early]
        actual = {name: [values[place] for place in compared] for name, values in online.items()}
        expected = events.take(places[::-1]) if places else {name: [] for name in online}
        self._compare_lists(view.name, actual, {name: expected[name] for name in online}, difference)

    def _compare_daily(self, request: LoggedRequest, view: SequenceView, difference: Difference) -> None:
        """Compare a daily view with the event table as of the last materialization.

        Inferred events that the request read may since have been invalidated by an event that landed later; they are
        left out of the comparison.
        """
        online, no_events = request.views[view.name], UserEvents(np.zeros(0, np.int64), [], pa.record_batch({}))
        events = self.events[view.name].get(request.user_id, no_events)
        run = self.arrivals.materialization_for(request)
        as_of_us = min(view.cutoff_us(request.at_us), run.as_of_us) if run else 0
        difference.is_stale = difference.is_stale or as_of_us < view.cutoff_us(request.at_us)
        compared, current_ids = list(range(len(online["event_id"]))), set(events.event_ids)
        if run and self._has_landed_later(request.user_id, as_of_us, run.events_us):
            compared = [place for place in compared if online["event_id"][place] in current_ids]
        before = range(int(np.searchsorted(events.known_us_E, as_of_us)))
        landed_us, events_us = self.arrivals.landed_us, run.events_us if run else 0
        places = [place for place in before if landed_us.get(events.event_ids[place], 0) <= events_us]
        invalidated = len(online["event_id"]) - len(compared)
        difference.is_late = difference.is_late or invalidated > 0 or len(places) < len(before)
        places = places[max(len(places) - view.length + invalidated, 0) :]
        actual = {name: [values[place] for place in compared] for name, values in online.items()}
        expected = events.take(places) if places else {name: [] for name in online}
        self._compare_lists(view.name, actual, {name: expected[name] for name in online}, difference)

    def _compare_lists(self, view: str, actual: FeatureLists, expected: FeatureLists, difference: Difference) -> None:
        shortest = min(len(actual["event_id"]), len(expected["event_id"]))
        longest = max(len(actual["event_id"]), len(expected["event_id"]))
        # Index `ago`: 1 is the newest event.
        is_same_E = [False] + [actual["event_id"][-ago] == expected["event_id"][-ago] for ago in range(1, shortest + 1)]
        for name, values in actual.items():
            difference.values += longest
            for ago in range(1, longest + 1):
                online = values[-ago] if ago <= len(values) else None
                offline = expected[name][-ago] if ago <= len(expected[name]) else None
                if ago <= shortest and online == offline:
                    continue
                is_same = ago <= shortest and is_same_E[ago]
                if is_same and name in DURATION_ATTRIBUTES and actual["track_id"][-ago] in self.estimated_tracks:
                    difference.restated += 1
                    continue
                difference.unequal.append(
                    {"feature": f"{view}:{name}", "ago": ago, "online": online, "offline": offline}
                )

    def _compare_profile(self, online: LoggedRequest, offline: LoggedRequest, difference: Difference) -> None:
        difference.values += len(online.profile)
        different = [name for name, value in online.profile.items() if value != offline.profile[name]]
        if not different:
            return
        run = self.arrivals.materialization_for(online)
        visible = [
            row for row in self.profiles.get(online.user_id, []) if _microseconds_of(row["known_at"]) <= online.at_us
        ]
        materialized = sum(_microseconds_of(row["known_at"]) <= run.as_of_us for row in visible) if run else 0
        # The last materialized row or a newer one: a run that was active may already have written some users.
        acceptable: list[dict[str, Any]] = [*([] if materialized else [{}]), *visible[max(materialized - 1, 0) :]]
        profile = {name.removeprefix(f"{PROFILE}__"): value for name, value in online.profile.items()}
        if any(all(row.get(name) == value for name, value in profile.items()) for row in acceptable):
            difference.is_stale = True
        elif run and self._has_landed_later(online.user_id, run.as_of_us, run.events_us):
            difference.is_late = True
        else:
            for name in different:
                values = {"online": online.profile[name], "offline": offline.profile[name]}
                difference.unequal.append({"feature": name.replace("__", ":"), **values})

    def _has_landed_later(self, user_id: str, as_of_us: int, events_us: int) -> bool:
        """Whether an event known before `as_of_us` was landed after the event table of `events_us` was published."""
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
    events_of = {}
    for (user, start), end in zip(starts.items(), ends, strict=True):
        (events,) = rows.slice(start, end - start).to_batches()
        columns = events.select(list(view.attribute_names))
        events_of[user] = UserEvents(microseconds(events["known_at"]), events["event_id"].to_pylist(), columns)
    return events_of


def _microseconds_of(time: datetime) -> int:
    return (time.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@dataclass(frozen=True)
class Arrivals:
    """Arrivals of events of some users, and the materialization runs."""

    store: str  # id of the event store
    numbers: dict[str, int]  # event_id ▸ number in the event store, in the order of commit
    landed_us: dict[str, int]  # event_id ▸ landing time, µs UTC
    materializations: list[MaterializationRun]  # oldest first

    @classmethod
    def load(cls, user_ids: Iterable[str], events: EventStore, home: Path, landing: Path) -> Arrivals:
        """Arrivals of these users' events.

        Args:
            user_ids: The users.
            events: The event store.
            home: Folder with the materialization log.
            landing: Landing zone.
        """
        users = set(user_ids)
        numbers = _stored_numbers(users, events)
        return cls(events.id, numbers, _landing_times(users, landing), read_materializations(home / "feast"))

    def materialization_for(self, request: LoggedRequest) -> MaterializationRun | None:
        """The last run that finished before the request; None before the first run. A later run may have been active."""
        finished = [run for run in self.materializations if run.finished_us <= request.at_us]
        return finished[-1] if finished else None

    def arrived_after(self, event_id: str, known_us: int, request: LoggedRequest) -> bool:
        """Whether the request may not have been able to read the event.

        An event of the event store: it was committed after the last one that the request read. An event that is no longer or was
        never there: it was landed, or became known, after the last materialization. (An event leaves the store a day after it was
        received, so that on the next day all that arrived after a request are there.)
        """
        number = self.numbers.get(event_id)
        if number is not None:
            return request.applied is None or request.applied[0] != self.store or number > request.applied[1]
        run = self.materialization_for(request)
        return run is None or known_us >= run.as_of_us or self.landed_us.get(event_id, 0) > run.events_us


def _stored_numbers(users: set[str], events: EventStore) -> dict[str, int]:
    """Numbers of the users' events that are still in the event store."""
    numbers: dict[str, int] = {}
    after = None
    while page := events.read(after, PAGE_EVENTS):
        numbers |= {event["event_id"]: seq for seq, event in page if event["user_id"] in users}
        after = Position(events.id, page[-1][0])
    return numbers


def _landing_times(users: set[str], folder: Path) -> dict[str, int]:
    paths = {str(path): path for path in object_store.list_files(folder / "listening_events", "dt=*/*.parquet")}
    if not paths or not users:
        return {}
    with object_store.connect_duckdb(folder) as connection:
        rows = connection.execute(
            "select event_id, filename from read_parquet(?, filename = true, hive_partitioning = false) "
            "where user_id in (select unnest(?))",
            [list(paths), sorted(users)],
        ).fetchall()
    written_us = {file: paths[file].stat().st_mtime_ns // 1000 for file in {file for _, file in rows}}
    landed_us: dict[str, int] = {}
    for event_id, file in rows:
        landed_us[event_id] = min(written_us[file], landed_us.get(event_id, written_us[file]))
    return landed_us
