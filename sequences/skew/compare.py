"""Training/serving skew: the features that requests read online, compared with the offline store.

The offline features are read for the users and times of logged requests (`get_historical_features` with the views of the
same feature service) and compared position by position from the newest event, because models read that end. **Skew** is a
difference that nothing explains. Reported apart:

- `late`: an event happened before the request but arrived after it. Without it the values are equal.
- `early`: an event that was read is dated after the request by its device's clock. Without it the values are equal.
- `stale`: a profile or a daily view is known from midnight but reaches the online store with the next materialization.
- `restated`: a track length is estimated from plays and changes daily, and ratios of it change accordingly.
- `pending`: the request read an event that is not landed yet. Not compared.
- `unread`: the online store did not respond or had no materialized rows. Not compared.
- `removed`: the request read a feature that was removed from the feature service since then. Not compared.

An event of the event store arrived when it was numbered, one of a file when the file was landed. Independent of models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from event_store.store import EventStore, Position
from sequences.online.materialization_state import landed_position
from sequences.online.reader import FEATURE_SERVICE
from sequences.sequence_views import SEQUENCE_VIEWS, SequenceView
from sequences.skew.feature_log import FeatureLists, LoggedRequest, nan_to_none
from storage import object_store

if TYPE_CHECKING:
    from feast import FeatureStore

REQUESTS_PER_BATCH = 256
MAX_EXAMPLES = 20
PAGE_EVENTS = 10_000
"""Events that are read from the event store at once."""
DURATION_ATTRIBUTES = ("played_ratio", "behavior")
"""Attributes that depend on the track length."""


@dataclass
class SkewReport:
    """Counts of compared requests and values, by outcome."""

    requests: int = 0  # requests, all
    compared: int = 0  # requests that were compared
    values: int = 0  # values that were compared
    unequal: int = 0  # values with skew
    late: int = 0  # requests with late events
    early: int = 0  # requests with early events
    stale: int = 0  # requests with a stale profile or daily view
    restated: int = 0  # values that changed with an estimated track length
    pending: int = 0  # requests with events that are not landed
    unread: int = 0  # requests without features
    removed: int = 0  # requests with features that were removed
    by_feature: Counter[str] = field(default_factory=Counter)  # `view:feature` ▸ values with skew
    examples: list[dict[str, Any]] = field(default_factory=list)  # at most MAX_EXAMPLES values with skew

    @property
    def rate(self) -> float:
        """Fraction of the compared values with skew."""
        return self.unequal / self.values if self.values else 0.0

    def add_unequal(self, request: LoggedRequest, feature: str, ago: int, online: Any, offline: Any) -> None:
        """Count a value with skew; `ago` is 1 for the newest event of a sequence, and 0 for the profile."""
        self.unequal += 1
        self.by_feature[feature] += 1
        if len(self.examples) < MAX_EXAMPLES:
            origin = {"request_id": request.request_id, "at_us": request.at_us, "release": request.release}
            self.examples.append(origin | {"feature": feature, "ago": ago, "online": online, "offline": offline})

    def to_dict(self, as_of: date) -> dict[str, Any]:
        """The content of `reports/skew.json`."""
        by_feature = dict(self.by_feature.most_common())
        return {"as_of": str(as_of), **vars(self), "by_feature": by_feature, "skew_rate": self.rate}


def compare_requests(
    store: FeatureStore, events: EventStore, requests: Iterable[LoggedRequest], marts_folder: Path, landing: Path
) -> SkewReport:
    """Compare logged requests with the offline store.

    Args:
        store: Store whose offline features are read.
        events: The event store; it determines with the landing zone what was available at the time of a request.
        requests: Requests of days that the marts cover.
        marts_folder: Folder of the marts.
        landing: Landing zone.
    """
    report, remaining = SkewReport(), iter(requests)
    views = store.get_feature_service(FEATURE_SERVICE).feature_view_projections
    refs = [f"{view.name_to_use()}:{feature.name}" for view in views for feature in view.features]
    names = {ref.replace(":", "__") for ref in refs}
    arrivals, landed = Arrivals(events, landing), landed_position(marts_folder, events.id)
    tracks = pq.read_table(
        marts_folder / "tracks.parquet", columns=["track_id"], filters=[("is_duration_estimated", "==", True)]
    )
    estimated = frozenset(tracks["track_id"].to_pylist())
    while chunk := list(islice(remaining, REQUESTS_PER_BATCH)):
        report.requests += len(chunk)
        read = [request for request in chunk if request.rows]
        report.unread += len(chunk) - len(read)
        current = [request for request in read if names.issuperset(request.feature_names)]
        report.removed += len(read) - len(current)
        compared = [
            request
            for request in current
            if not request.applied or request.applied[0] != events.id or request.applied[1] <= landed
        ]
        report.pending += len(current) - len(compared)
        report.compared += len(compared)
        now = _read_offline(store, refs, compared, [request.at_us for request in compared])
        then = _read_offline(store, refs, compared, [request.rows_us for request in compared])
        for online, offline, materialized in zip(compared, now, then, strict=True):
            _Comparison(report, online, arrivals, estimated).add(offline, materialized)
    return report


class Arrivals:
    """When events became available to the online store, as opposed to when they happened."""

    def __init__(self, events: EventStore, landing: Path) -> None:
        self._events, self._landing = events, landing
        self._landed: dict[int, dict[str, tuple[str, int]]] = {}

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """Number of each event that is still in the event store: all that arrived after a request of the day before."""
        numbers: dict[str, int] = {}
        after = None
        while page := self._events.read(after, PAGE_EVENTS):
            numbers |= {event["event_id"]: seq for seq, event in page}
            after = Position(self._events.id, page[-1][0])
        return numbers

    def is_late(self, event_id: str, known_us: int, request: LoggedRequest) -> bool:
        """Whether the request may not have been able to read an event that is known from `known_us` on."""
        number = self._numbers.get(event_id)
        if number is not None:
            return request.applied is None or request.applied[0] != self._events.id or number > request.applied[1]
        return known_us >= request.rows_us or event_id in self._landed_after(request)

    def has_late(self, request: LoggedRequest) -> bool:
        """Whether an event of the user that belongs to the materialized rows arrived after them."""
        return (request.user_id, True) in {
            (user, ended_us < request.rows_us) for user, ended_us in self._landed_after(request).values()
        }

    def _landed_after(self, request: LoggedRequest) -> dict[str, tuple[str, int]]:
        """Event ▸ (user, end) of the files that were landed after the build whose rows the request read."""
        build = request.rows[1] if request.rows else 0
        if build not in self._landed:
            paths = object_store.list_files(self._landing / "listening_events", "dt=*/*.parquet")
            later = [str(path) for path in paths if path.stat().st_mtime_ns > build * 1000]
            query = "select event_id, user_id, epoch_us(ended_at) from read_parquet(?, hive_partitioning = false)"
            with object_store.connect_duckdb(self._landing) as connection:
                rows = connection.execute(query, [later]).fetchall() if later else []
            self._landed[build] = {event: (user, ended_us) for event, user, ended_us in rows}
        return self._landed[build]


@dataclass(frozen=True)
class _Comparison:
    """Comparison of one request, counted in the report."""

    report: SkewReport
    request: LoggedRequest
    arrivals: Arrivals
    estimated: Container[str]  # tracks whose length is estimated

    def add(self, now: LoggedRequest, then: LoggedRequest) -> None:
        """Compare with the offline features at the times of the request and of its materialized rows."""
        found, is_stale = Counter[str](), False
        for name, lists in self.request.views.items():
            view = SEQUENCE_VIEWS[name]
            is_earlier = view.is_daily and lists != now.views[name] != then.views[name]
            is_stale |= is_earlier
            self._compare_view(view, lists, then.views[name] if is_earlier else now.views[name], found)
        is_earlier = self.request.profile != now.profile != then.profile
        is_stale |= is_earlier
        self._compare_profile(then.profile if is_earlier else now.profile, found)
        self.report.late += found["late"] > 0
        self.report.early += found["early"] > 0
        self.report.stale += is_stale

    def _compare_view(
        self, view: SequenceView, online: FeatureLists, offline: FeatureLists, found: Counter[str]
    ) -> None:
        read, known = set(online["event_id"]), set(offline["event_id"])
        early = {event for event, ended_us in zip(online["event_id"], online["ended_at"], strict=True)
                 if event not in known and ended_us >= self.request.at_us}  # fmt: skip
        late = {event for event, ended_us in zip(offline["event_id"], offline["ended_at"], strict=True)
                if event not in read and self.arrivals.is_late(event, ended_us, self.request)}  # fmt: skip
        if view.is_daily and read - known and self.arrivals.has_late(self.request):
            early |= read - known  # an outcome that arrived late invalidates what was inferred from its absence
        found.update(early=len(early), late=len(late))
        is_full = max(len(read), len(known)) == view.length
        online, offline = _without(online, early), _without(offline, late)
        sizes = len(online["event_id"]), len(offline["event_id"])
        for ago in range(1, (min(sizes) if is_full else max(sizes)) + 1):
            first, second = (
                {name: values[-ago] for name, values in lists.items()} if ago <= size else {}
                for lists, size in zip((online, offline), sizes, strict=True)
            )
            self.report.values += len(online)
            is_same = bool(first and second) and first["event_id"] == second["event_id"]
            for name in online:
                if first.get(name) == second.get(name):
                    continue
                if is_same and name in DURATION_ATTRIBUTES and first["track_id"] in self.estimated:
                    self.report.restated += 1
                else:
                    self.report.add_unequal(self.request, f"{view.name}:{name}", ago, first.get(name), second.get(name))

    def _compare_profile(self, offline: dict[str, float | None], found: Counter[str]) -> None:
        online = self.request.profile
        self.report.values += len(online)
        if online != offline and self.arrivals.has_late(self.request):
            found["late"] += 1
            return
        for name, value in online.items():
            if value != offline[name]:
                self.report.add_unequal(self.request, name.replace("__", ":"), 0, value, offline[name])


def _without(lists: FeatureLists, events: Container[str]) -> FeatureLists:
    kept = [place for place, event in enumerate(lists["event_id"]) if event not in events]
    return {name: [values[place] for place in kept] for name, values in lists.items()}


def _read_offline(
    store: FeatureStore, refs: list[str], requests: list[LoggedRequest], times_us: list[int]
) -> list[LoggedRequest]:
    """The same requests with the features of the offline store at some times, µs UTC."""
    if not requests:
        return []
    rows = pd.DataFrame(
        {
            "user_id": [request.user_id for request in requests],
            "event_timestamp": pd.to_datetime(times_us, unit="us", utc=True),
            "place": np.arange(len(requests)),
        }
    )
    features = (
        store.get_historical_features(rows, refs, full_feature_names=True).to_arrow().sort_by("place").to_pydict()
    )
    return [
        replace(
            request,
            views={
                view: {name: nan_to_none(name, features[f"{view}__{name}"][place]) for name in attributes}
                for view, attributes in request.views.items()
            },
            profile={
                name: None if pd.isna(features[name][place]) else features[name][place] for name in request.profile
            },
        )
        for place, request in enumerate(requests)
    ]
