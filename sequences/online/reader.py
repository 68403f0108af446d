"""Online reader of all features of a user: the materialized rows, and the events that the event store has beyond them.

OnlineReader(open_store()).read(user_id).views        # {view: {attribute: list}}
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import feast

from event_store.store import EventStore, StoreUnavailable, UserEvents
from sequences.online.live_events import live_events
from sequences.online.online_stores import ReadRow, list_of, merge_lists, online_store_of
from sequences.sequence_views import SEQUENCE_VIEWS, SequenceView

FEATURE_SERVICE = "recommender"


StoredViews = Mapping[str, Mapping[str, Sequence[Any]]]
"""View ▸ attribute ▸ list, oldest first; `user_profile` has one value per list, or none for a user without a profile."""


class StoredUser:
    """What the stores have of a user; all lists of an unknown user are empty.

    Args:
        make_views: Decodes the views, at the first access.
        version: Equal for reads with equal features; None: unknown.
        applied: The user's events of the event store up to here (id of the store, number) are in the features.
        rows: Day before which the materialized rows were known, and newest build in them; None: there are no such rows.
        events_error: Why the event store could not be read, so that the features are the materialized ones; None: it was read.
    """

    def __init__(
        self,
        make_views: Callable[[], StoredViews],
        version: Hashable = None,
        applied: tuple[str, int] | None = None,
        rows: tuple[str, int] | None = None,
        events_error: StoreUnavailable | None = None,
    ) -> None:
        self._make_views, self.version, self.applied = make_views, version, applied
        self.rows, self.events_error = rows, events_error

    @cached_property
    def views(self) -> StoredViews:
        """All views of the feature service; lists are decoded at the first access."""
        return self._make_views()


class OnlineReader:
    """Reader of all features of a user; thread-safe.

    Args:
        store: The Feast store.
        events: The event store; default: the Feast store's.
        views: The sequence views.
    """

    def __init__(
        self,
        store: feast.FeatureStore,
        events: EventStore | None = None,
        views: Mapping[str, SequenceView] = SEQUENCE_VIEWS,
    ) -> None:
        self._store, self._online, self._events, self._views = store, online_store_of(store), events, views
        self._open_views()

    def refresh(self) -> None:
        """Reload the registry after `feast apply`; reads never wait for the registry."""
        self._store.refresh_registry()
        self._open_views()

    def read(self, user_id: str, known: Hashable = None) -> StoredUser:
        """All views of the feature service, equal to the offline store at the current time.

        Args:
            user_id: The user.
            known: Version of an earlier read; if it is still the version, the rows are not read, and the views lack them.
        """
        # In this order: events that materialization moves to the rows meanwhile are read twice rather than not at all.
        state = self._online.read_state(self._store.config)
        position = state.position
        try:
            found, error = self._event_store.of_user(user_id, position), None
        except StoreUnavailable as unavailable:
            found, error = UserEvents("", 0), unavailable
        version: tuple[Hashable, ...] = (found.store, found.last_seq, state)
        rows = dict[str, ReadRow]()
        if not state.source or version != known:
            of_views = self._online.read_views(self._store.config, [*self._registered.values()], user_id)
            rows = dict(zip(self._registered, of_views, strict=True))
        if not state.source:
            version = (*version, *(time for time, _ in rows.values()))  # of rows that others have written
        is_covered = position is not None and position.store == found.store
        applied = found.store, max(found.last_seq, position.seq if position and is_covered else 0)
        day = (state.as_of, state.build) if state.as_of and state.source else None
        return StoredUser(partial(self._merge, rows, found), version, applied, day, error)

    def read_events(self, user_id: str) -> StoredUser:
        """The views with the events of the event store alone, for when the online store does not respond.

        Raises:
            StoreUnavailable: The event store cannot be read.
        """
        found = self._event_store.of_user(user_id)
        return StoredUser(partial(self._merge, {}, found), applied=(found.store, found.last_seq))

    def _merge(self, rows: Mapping[str, ReadRow], found: UserEvents) -> StoredViews:
        events, views = live_events(found), dict[str, Mapping[str, Sequence[Any]]]()
        for name, registered in self._registered.items():
            values = rows[name][1] or {} if name in rows else {}
            if view := self._views.get(name):
                views[name] = merge_lists(view, values, events)
            else:
                views[name] = {feature.name: list_of(values, feature.name) for feature in registered.features}
        return views

    @property
    def _event_store(self) -> EventStore:
        return self._events or self._online.events

    def _open_views(self) -> None:
        projections = self._store.get_feature_service(FEATURE_SERVICE).feature_view_projections
        self._registered = {view.name: self._store.get_feature_view(view.name) for view in projections}
