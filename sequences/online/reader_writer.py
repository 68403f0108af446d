"""Online reader and writer of sequence views: one writer per user, and a reader that merges batch and live parts.

    writer = OnlineWriter(open_store(), duration_of)      # duration_of(track_id) -> ms or None
    writer.apply(user_id, contract_rows)                  # visible to the next read when it returns
    OnlineReader(open_store()).read(user_id).views        # {view: {attribute: list}}

Give each its own store: a SQLite store has one connection, and the reader must not wait for the writer. Both are
thread-safe. All events of a user go to one process (with a broker: the owner of the partition), which is the user's writer.
A writer that was delayed while another took over cannot overwrite newer rows in Redis: its write is rejected, and it reads
the row again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from threading import Lock
from typing import Any

import feast

from sequences import behaviours
from sequences.online import live_events
from sequences.online.codec import LazyColumn, decode_values
from sequences.online.store_rows import STORE_MARKER_USER, OnlineRow, OnlineRowReader, compare_and_set_rows
from sequences.views import LIVE_SOURCE, SEQUENCE_VIEWS, SORT_KEY_ATTRIBUTES, SequenceView

FEATURE_SERVICE = "recommender"
LOCK_STRIPES = 256
MAX_WRITE_ATTEMPTS = 10
MIN_TIMESTAMP_STEP = timedelta(milliseconds=1)
"""Minimum increment of a row's time, larger than the resolution of Redis. (SQLite stores seconds and accepts all writes.)"""


class WriteConflict(RuntimeError):
    """Another process keeps writing the same users' rows; applying the events again is safe."""


class OnlineWriter:
    """Writer of users' live parts, which contain the events that the batch parts lack.

    A row's timestamp is its apply time, strictly increasing per user, never an event time: a store may silently drop a
    write that is not newer than the stored row, and late events are not newer.

    Args:
        store: The Feast store.
        duration_of: track_id ▸ length in ms, None if unknown.
        views: The sequence views.
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
        self._live = OnlineRowReader(store, {LIVE_SOURCE: live_events.LIVE_FEATURES})
        self._batch = OnlineRowReader(
            store, {view.name: [attribute.name for attribute in SORT_KEY_ATTRIBUTES] for view in self._views}
        )
        self._behaviours = behaviours.load_behaviours()
        self._stripe_locks = [Lock() for _ in range(LOCK_STRIPES)]

    def apply(self, user_id: str, events: Iterable[Mapping[str, Any]]) -> int:
        """Merge contract rows into the user's live part; returns the number of new events.

        Idempotent and order-independent: duplicates (by `event_id`), late and out-of-order events are allowed.

        Raises:
            BehaviourError, LiveEventError: A row is invalid; nothing was applied.
            WriteConflict: Another process keeps writing the user's row.
        """
        return self.apply_batch({user_id: events})

    def apply_batch(self, events_of: Mapping[str, Iterable[Mapping[str, Any]]]) -> int:
        """`apply` for several users (user_id ▸ rows), with one read and one write of the store."""
        new_of: dict[str, list[live_events.Event]] = {}
        for user_id, rows in events_of.items():
            events = [live_events.to_live_event(row, self._behaviours, self._duration_of) for row in rows]
            if new := [event for event in events if event is not None]:
                new_of[user_id] = new
        if not new_of:
            return 0
        with ExitStack() as locks:
            # Locked in a fixed order to avoid deadlocks.
            for stripe in sorted({hash(user_id) % LOCK_STRIPES for user_id in new_of}):
                locks.enter_context(self._stripe_locks[stripe])
            return self._apply(new_of)

    def _apply(self, new_of: Mapping[str, list[live_events.Event]]) -> int:
        count, remaining = 0, new_of
        for _ in range(MAX_WRITE_ATTEMPTS):
            new_counts, conflicts = self._attempt_write(remaining)
            count += sum(new for user, new in new_counts.items() if user not in conflicts)
            remaining = {user: remaining[user] for user in conflicts}
            if not remaining:
                return count
        raise WriteConflict(
            f"another process keeps writing the rows of {len(remaining)} of {len(new_of)} users; stop it, because a user must have "
            "only one writer"
        )

    def _attempt_write(self, new_of: Mapping[str, list[live_events.Event]]) -> tuple[dict[str, int], list[str]]:
        """(user ▸ number of new events, users whose row was changed concurrently)."""
        users = list(new_of)
        *rows, marker = [row[LIVE_SOURCE] for row in self._live.read([*users, STORE_MARKER_USER])]
        # Rows older than the last materialization: the batch part may cover some of their events.
        outdated = [
            user for user, row in zip(users, rows, strict=True) if _is_before(row.written_at, marker.written_at)
        ]
        batch_of = self._batch_parts(outdated)
        new_counts, changed = {}, []
        for user, row in zip(users, rows, strict=True):
            new_counts[user], values = self._merge_row(row, new_of[user], batch_of.get(user))
            if values is not None:
                changed.append((user, values, _next_apply_time(row.written_at), row.written_at))
        return new_counts, compare_and_set_rows(self._store, self._view, changed) if changed else []

    def _merge_row(
        self, row: OnlineRow, new: Sequence[live_events.Event], batch: Mapping[str, Mapping[str, LazyColumn]] | None
    ) -> tuple[int, live_events.StoredValues | None]:
        """(number of new events, the user's new row; None if it is unchanged)."""
        if batch is None and (values := live_events.append_events(row, new, self._views)) is not None:
            return len(new), values
        stored = live_events.decode_live_events(row)
        fresh = {event["event_id"] for event in new} - {event["event_id"] for event in stored}
        events = live_events.apply_events(stored, new, self._views)
        if batch is not None:
            events = live_events.select_uncovered(events, batch, self._views)
        return len(fresh), live_events.encode_live_row(events) if fresh or len(events) != len(stored) else None

    def _batch_parts(self, users: Sequence[str]) -> dict[str, dict[str, dict[str, LazyColumn]]]:
        if not users:
            return {}
        rows = self._batch.read(users)
        return {
            user: {view: _lazy_columns(part) for view, part in parts.items()}
            for user, parts in zip(users, rows, strict=True)
        }


StoredViews = Mapping[str, Mapping[str, Sequence[Any]]]
"""View ▸ attribute ▸ list, oldest first; an ordinary view has one value per list, or none."""


class StoredUser:
    """What the store has of a user; all lists of an unknown user are empty.

    Args:
        make_views: Decodes the views, at the first access.
        version: Equal for equal content, within one process; None: unknown.
    """

    def __init__(self, make_views: Callable[[], StoredViews], version: Hashable = None) -> None:
        self._make_views, self.version = make_views, version

    @cached_property
    def views(self) -> StoredViews:
        """All views of the feature service; lists are decoded at the first access (`LazyColumn`)."""
        return self._make_views()


class OnlineReader:
    """Reader of all features of a user, with one read of the online store."""

    def __init__(self, store: feast.FeatureStore, views: Mapping[str, SequenceView] = SEQUENCE_VIEWS) -> None:
        self._store = store
        self._views = views
        self._rows = self._open_service_rows()

    def refresh(self) -> None:
        """Reload the registry after `feast apply`; reads never wait for the registry."""
        self._store.refresh_registry()
        self._rows = self._open_service_rows()

    def read(self, user_id: str) -> StoredUser:
        """All views of the feature service, equal to the offline store at the current time."""
        row = self._rows.read([user_id])[0]
        version = hash(tuple([tuple(part.values.values()) for part in row.values()]))
        return StoredUser(partial(self._merge_parts, row), version)

    def _merge_parts(self, row: Mapping[str, OnlineRow]) -> StoredViews:
        views: dict[str, Mapping[str, Sequence[Any]]] = {
            view: _lazy_columns(part) for view, part in row.items() if view != LIVE_SOURCE
        }
        events = live_events.decode_live_events(row[LIVE_SOURCE])
        return views | {name: live_events.merge_parts(view, views[name], events) for name, view in self._views.items()}

    def _open_service_rows(self) -> OnlineRowReader:
        projections = self._store.get_feature_service(FEATURE_SERVICE).feature_view_projections
        features = {view.name: [feature.name for feature in view.features] for view in projections}
        # The live part is read first: events that the writer removes because the batch part covers them are then in the
        # batch part, which is read later.
        return OnlineRowReader(self._store, {LIVE_SOURCE: live_events.LIVE_FEATURES, **features})


def _lazy_columns(row: OnlineRow) -> dict[str, LazyColumn]:
    return {name: LazyColumn(partial(decode_values, value)) for name, value in row.values.items()}


def _next_apply_time(previous: datetime | None) -> datetime:
    now = datetime.now(UTC)
    return now if previous is None else max(now, previous + MIN_TIMESTAMP_STEP)


def _is_before(written_at: datetime | None, marker_at: datetime | None) -> bool:
    # Equal times count as before, because SQLite stores whole seconds. A missing row has no events to check.
    return written_at is not None and marker_at is not None and written_at <= marker_at
