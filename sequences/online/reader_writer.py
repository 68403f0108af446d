"""Online reader of all features of a user: the materialized rows, and the events that the event store has beyond them.

OnlineReader(open_store()).read(user_id).views        # {view: {attribute: list}}
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import feast

from event_store.store import EventStore, StoreUnavailable, UserEvents
from sequences.online.codec import LazyColumn, decode_values
from sequences.online.live_events import live_events, merge_parts
from sequences.online.materialization_state import STATE_FEATURES, STATE_VIEW, position_of
from sequences.online.store_rows import STATE_USER, OnlineRow, OnlineRowReader
from sequences.views import SEQUENCE_VIEWS, SequenceView

FEATURE_SERVICE = "recommender"


StoredViews = Mapping[str, Mapping[str, Sequence[Any]]]
"""View ▸ attribute ▸ list, oldest first; `user_profile` has one value per list, or none for a user without a profile."""


class StoredUser:
    """What the stores have of a user; all lists of an unknown user are empty.

    Args:
        make_views: Decodes the views, at the first access.
        version: Equal for reads with equal features; None: unknown.
        applied: The user's events of the event store up to here (id of the store, number) are in the features.
        events_error: Why the event store could not be read, so that the features are the materialized ones; None: it was read.
    """

    def __init__(
        self,
        make_views: Callable[[], StoredViews],
        version: Hashable = None,
        applied: tuple[str, int] | None = None,
        events_error: StoreUnavailable | None = None,
    ) -> None:
        self._make_views, self.version, self.applied, self.events_error = make_views, version, applied, events_error

    @cached_property
    def views(self) -> StoredViews:
        """All views of the feature service; lists are decoded at the first access (`LazyColumn`)."""
        return self._make_views()


class OnlineReader:
    """Reader of all features of a user, with one read of the online store and one of the event store; thread-safe.

    Args:
        store: The Feast store.
        events: The event store; default: that of the Feast store.
        views: The sequence views.
    """

    def __init__(
        self,
        store: feast.FeatureStore,
        events: EventStore | None = None,
        views: Mapping[str, SequenceView] = SEQUENCE_VIEWS,
    ) -> None:
        self._store, self._events, self._views = store, events, views
        self._open_rows()

    def refresh(self) -> None:
        """Reload the registry after `feast apply`; reads never wait for the registry."""
        self._store.refresh_registry()
        self._open_rows()

    def read(self, user_id: str) -> StoredUser:
        """All views of the feature service, equal to the offline store at the current time."""
        state, row = self._rows.read([STATE_USER, user_id])
        position = position_of({name: decode_values(value) for name, value in state[STATE_VIEW.name].values.items()})
        try:
            found, error = self._open_events().of_user(user_id, position), None
        except StoreUnavailable as unavailable:
            found, error = UserEvents("", 0), unavailable
        version = found.store, found.last_seq, tuple(row[view].version for view in self._names)
        is_covered = position is not None and position.store == found.store
        applied = found.store, max(found.last_seq, position.seq if position and is_covered else 0)
        return StoredUser(partial(self._merge, row, found), version, applied, error)

    def read_events(self, user_id: str) -> StoredUser:
        """The views with the events of the event store alone, for when the online store does not respond.

        Raises:
            StoreUnavailable: The event store cannot be read.
        """
        found = self._open_events().of_user(user_id)
        return StoredUser(partial(self._merge, {}, found), applied=(found.store, found.last_seq))

    def _merge(self, row: Mapping[str, OnlineRow], found: UserEvents) -> StoredViews:
        empty: dict[str, Mapping[str, Sequence[Any]]] = {
            view: dict.fromkeys(names, ()) for view, names in self._names.items()
        }
        batch = empty | {view: _lazy_columns(row[view]) for view in self._names if view in row}
        live = live_events(found)
        return batch | {name: merge_parts(view, batch[name], live) for name, view in self._views.items()}

    def _open_events(self) -> EventStore:
        if self._events is None:
            online: Any = self._store._get_provider().online_store
            self._events = online.events
        return self._events

    def _open_rows(self) -> None:
        projections = self._store.get_feature_service(FEATURE_SERVICE).feature_view_projections
        self._names = {view.name: [feature.name for feature in view.features] for view in projections}
        # The state is read first: events that materialization moves to the rows meanwhile are then read twice.
        views = {self._store.get_feature_view(view): names for view, names in self._names.items()}
        self._rows = OnlineRowReader(self._store, {STATE_VIEW: STATE_FEATURES[:2], **views})


def _lazy_columns(row: OnlineRow) -> dict[str, LazyColumn]:
    return {name: LazyColumn(partial(decode_values, value)) for name, value in row.values.items()}
