"""The online side of the sequence views: the single writer of each user, and the reader that merges both parts.

    writer = OnlineWriter(open_store(), duration_of)      # duration_of(track_id) -> ms or None
    writer.apply(user_id, contract_rows)                  # visible to the next read when it returns
    OnlineReader(open_store()).read(user_id)              # {view: {attribute: list}}

Each opens its own connections, so give them stores that nobody else uses. Both may be called from any number of threads.
A user's events must come to one process (the broker's partition, in a cluster): that process is the user's writer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

import feast

from sequences import behaviours, live
from sequences.definition import LIVE_ATTRIBUTES, LIVE_SOURCE, SEQUENCE_VIEWS, SequenceView
from sequences.online_row import list_of, list_value, read_row, user_key

SERVICE = "recommender"
STRIPES = 256
TICK = timedelta(milliseconds=1)
"""The least step of a row's time: wider than what Redis rounds one to. (SQLite keeps seconds, and takes every write.)"""


class OnlineWriter:
    """Applies events to the live part of their user.

    A row's timestamp is its apply time, strictly increasing per user, never an event time: a store may silently drop
    a write that is not newer than what it has, and a late event is not newer.
    """

    def __init__(
        self,
        store: feast.FeatureStore,
        duration_of: Callable[[str], int | None],
        views: Mapping[str, SequenceView] = SEQUENCE_VIEWS,
    ) -> None:
        self._store = store
        self._duration_of = duration_of
        self._views = tuple(views.values())
        self._view = store.get_feature_view(LIVE_SOURCE)
        self._behaviours = behaviours.load()
        self._writing = [Lock() for _ in range(STRIPES)]
        # Feast's SQLite store has one connection, and a connection has one transaction: two threads in it would commit
        # each other's halves.
        is_sqlite = store.config.online_store.type == "sqlite"
        self._connection: AbstractContextManager[Any] = Lock() if is_sqlite else nullcontext()

    def apply(self, user_id: str, events: Iterable[Mapping[str, Any]]) -> int:
        """Merges contract rows into the user's live part; returns how many the live part did not have yet.

        Duplicates by `event_id`, late and out-of-order events are fine: the state depends on the set of events only.

        Raises:
            BehaviourError, LiveEventError: a row cannot be read; nothing of the call was applied.
        """
        rows = [live.live_event(row, self._behaviours, self._duration_of) for row in events]
        new = [row for row in rows if row is not None]
        if not new:
            return 0
        with self._writing[hash(user_id) % STRIPES]:
            with self._connection:
                applied_at, values = read_row(self._store, self._view, user_id)
            stored = live_rows({name: list_of(value) for name, value in values.items()})
            known = {event["event_id"] for event in stored}
            fresh = {event["event_id"] for event in new} - known
            if not fresh:
                return 0
            self._write(user_id, live.applied(stored, new, self._views), applied_at)
        return len(fresh)

    def _write(self, user_id: str, events: list[live.Event], applied_at: datetime | None) -> None:
        now = datetime.now(UTC)
        if applied_at is not None:
            now = max(now, applied_at + TICK)
        values = {a.name: list_value(a.kind, [event[a.name] for event in events]) for a in LIVE_ATTRIBUTES}
        with self._connection:
            # What `FeatureStore.push` comes down to, without a data frame in between.
            self._store._get_provider().online_write_batch(
                self._store.config, self._view, [(user_key(user_id), values, now, now)], None
            )


class OnlineReader:
    """Reads everything about a user in one call to the online store."""

    def __init__(self, store: feast.FeatureStore, views: Mapping[str, SequenceView] = SEQUENCE_VIEWS) -> None:
        self._store = store
        self._views = views
        self._service = store.get_feature_service(SERVICE)

    def refresh(self) -> None:
        """Takes up what `feast apply` has changed since; requests never wait for the registry."""
        self._store.refresh_registry()
        self._service = self._store.get_feature_service(SERVICE)

    def read(self, user_id: str) -> dict[str, dict[str, list[Any]]]:
        """Every sequence view, attribute ▸ list, oldest first: what the offline store gives for the same events now.

        `user_profile` is there too, with one value a list, or none for a user without a profile. Nothing is known of
        an unknown user: all lists are empty.
        """
        response = self._store.get_online_features(self._service, [{"user_id": user_id}], full_feature_names=True)
        found: dict[str, dict[str, list[Any]]] = {}
        proto = response.proto
        for name, vector in zip(proto.metadata.feature_names.val, proto.results, strict=True):
            view, separator, feature = name.partition("__")
            if separator:
                value = vector.values[0]
                kind = value.WhichOneof("val")
                is_list = view in self._views or view == LIVE_SOURCE
                values = list_of(value) if is_list else [getattr(value, kind)] if kind else []
                found.setdefault(view, {})[feature] = values
        events = live_rows(found.pop(LIVE_SOURCE))
        for name, view_of in self._views.items():
            found[name] = live.merged(view_of, found[name], events)
        return found


def live_rows(columns: Mapping[str, list[Any]]) -> list[live.Event]:
    """The stored live part, column by column, as events."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
