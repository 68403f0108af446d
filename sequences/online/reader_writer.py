"""The online side of the sequence views: the single writer of each user, and the reader that merges both parts.

    writer = OnlineWriter(open_store(), duration_of)      # duration_of(track_id) -> ms or None
    writer.apply(user_id, contract_rows)                  # visible to the next read when it returns
    OnlineReader(open_store()).read(user_id)              # {view: {attribute: list}}

Give each a store of its own: in SQLite a store has one connection, and a reader must not wait for the writer. Both may be
called from any number of threads.
A user's events come to one process (the broker's partition, in a cluster): that process is the user's writer. One that was
held up while another took over undoes nothing in Redis: its write is refused, and it reads again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Lock
from typing import Any

import feast

from sequences import behaviours
from sequences.online import live_events
from sequences.online.codec import LazyColumn, decode_values
from sequences.online.row import STORE_MARKER_USER, OnlineRow, OnlineRowReader, compare_and_set_rows
from sequences.views import LIVE_SOURCE, SEQUENCE_VIEWS, SORT_KEY_ATTRIBUTES, SequenceView

FEATURE_SERVICE = "recommender"
LOCK_STRIPES = 256
MAX_WRITE_ATTEMPTS = 10
MIN_TIMESTAMP_STEP = timedelta(milliseconds=1)
"""The least step of a row's time: wider than what Redis rounds one to. (SQLite keeps seconds, and takes every write.)"""


class WriteConflict(RuntimeError):
    """Others write the same users' rows all the time; nothing was lost, and the events may be applied again."""


class OnlineWriter:
    """Applies events to the live part of their user, which keeps what the batch part does not have.

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
        self._live = OnlineRowReader(store, {LIVE_SOURCE: live_events.LIVE_FEATURES})
        self._batch = OnlineRowReader(
            store, {view.name: [attribute.name for attribute in SORT_KEY_ATTRIBUTES] for view in self._views}
        )
        self._behaviours = behaviours.load_behaviours()
        self._stripe_locks = [Lock() for _ in range(LOCK_STRIPES)]

    def apply(self, user_id: str, events: Iterable[Mapping[str, Any]]) -> int:
        """Merges contract rows into the user's live part; returns how many the live part did not have yet.

        Duplicates by `event_id`, late and out-of-order events are fine: the state depends on the set of events only.

        Raises:
            BehaviourError, LiveEventError: a row cannot be read; nothing of the call was applied.
            MovedOn: another process writes the user's row all the time.
        """
        return self.apply_batch({user_id: events})

    def apply_batch(self, events_of: Mapping[str, Iterable[Mapping[str, Any]]]) -> int:
        """The same for several users, in one read and one write of the store."""
        new_of: dict[str, list[live_events.Event]] = {}
        for user_id, rows in events_of.items():
            events = [live_events.to_live_event(row, self._behaviours, self._duration_of) for row in rows]
            if new := [event for event in events if event is not None]:
                new_of[user_id] = new
        if not new_of:
            return 0
        with ExitStack() as held:
            # In one order, so that two calls never wait for each other.
            for stripe in sorted({hash(user_id) % LOCK_STRIPES for user_id in new_of}):
                held.enter_context(self._stripe_locks[stripe])
            return self._apply(new_of)

    def _apply(self, new_of: Mapping[str, list[live_events.Event]]) -> int:
        count, left = 0, new_of
        for _ in range(MAX_WRITE_ATTEMPTS):
            fresh_of, moved_on = self._attempt_write(left)
            count += sum(fresh for user, fresh in fresh_of.items() if user not in moved_on)
            left = {user: left[user] for user in moved_on}
            if not left:
                return count
        raise WriteConflict(
            f"another process writes the rows of {sorted(left)[:3]} all the time; a user has one writer"
        )

    def _attempt_write(self, new_of: Mapping[str, list[live_events.Event]]) -> tuple[dict[str, int], list[str]]:
        """(user ▸ events that are new, users whose row was another's before it was written)."""
        users = list(new_of)
        *rows, mark = [row[LIVE_SOURCE] for row in self._live.read([*users, STORE_MARKER_USER])]
        # The batch part has moved on since these users' rows were written: it may have what they keep.
        moved_on = [user for user, row in zip(users, rows, strict=True) if _is_before(row.written_at, mark.written_at)]
        batch_of = self._batch_parts(moved_on)
        fresh_of, changed = {}, []
        for user, row in zip(users, rows, strict=True):
            fresh_of[user], values = self._merge_row(row, new_of[user], batch_of.get(user))
            if values is not None:
                changed.append((user, values, _next_apply_time(row.written_at), row.written_at))
        return fresh_of, compare_and_set_rows(self._store, self._view, changed) if changed else []

    def _merge_row(
        self, row: OnlineRow, new: Sequence[live_events.Event], batch: Mapping[str, Mapping[str, LazyColumn]] | None
    ) -> tuple[int, live_events.StoredValues | None]:
        """(how many events are new, the user's row with them; None where it stays as it is)."""
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


class OnlineReader:
    """Reads everything about a user in one call to the online store."""

    def __init__(self, store: feast.FeatureStore, views: Mapping[str, SequenceView] = SEQUENCE_VIEWS) -> None:
        self._store = store
        self._views = views
        self._rows = self._open_service_rows()

    def refresh(self) -> None:
        """Takes up what `feast apply` has changed since; requests never wait for the registry."""
        self._store.refresh_registry()
        self._rows = self._open_service_rows()

    def read(self, user_id: str) -> dict[str, Mapping[str, Sequence[Any]]]:
        """Every sequence view, attribute ▸ list, oldest first: what the offline store gives for the same events now.

        `user_profile` is there too, with one value a list, or none for a user without a profile. Nothing is known of
        an unknown user: all lists are empty. A list is made when it is first looked at (`Column`).
        """
        row = self._rows.read([user_id])[0]
        found: dict[str, Mapping[str, Sequence[Any]]] = {
            view: _lazy_columns(part) for view, part in row.items() if view != LIVE_SOURCE
        }
        events = live_events.decode_live_events(row[LIVE_SOURCE])
        for name, view in self._views.items():
            found[name] = live_events.merge_parts(view, found[name], events)
        return found

    def _open_service_rows(self) -> OnlineRowReader:
        projections = self._store.get_feature_service(FEATURE_SERVICE).feature_view_projections
        features = {one.name: [feature.name for feature in one.features] for one in projections}
        # The live part first: what its writer leaves out of it, because the batch part has it by now, is then in the
        # batch part that is read after it.
        return OnlineRowReader(self._store, {LIVE_SOURCE: live_events.LIVE_FEATURES, **features})


def _lazy_columns(row: OnlineRow) -> dict[str, LazyColumn]:
    return {name: LazyColumn(partial(decode_values, value)) for name, value in row.values.items()}


def _next_apply_time(before: datetime | None) -> datetime:
    now = datetime.now(UTC)
    return now if before is None else max(now, before + MIN_TIMESTAMP_STEP)


def _is_before(written_at: datetime | None, mark_at: datetime | None) -> bool:
    # Equal counts, for SQLite keeps whole seconds. Who has no row yet keeps nothing that the batch part could have by now.
    return written_at is not None and mark_at is not None and written_at <= mark_at
