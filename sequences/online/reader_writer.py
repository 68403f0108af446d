"""Online reader of all features of a user: the materialized rows, and the events that the event store has beyond them.

OnlineReader(open_store()).read(user_id)              # {view: {attribute: list}}
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import feast

from event_store.store import EventStore, Position, StoreUnavailable, UserEvents
from sequences.online.codec import LazyColumn, decode_values
from sequences.online.live_events import live_events, merge_parts
from sequences.online.materialization_state import STATE_FEATURES, STATE_VIEW, position_of
from sequences.online.store_rows import STATE_USER, OnlineRow, OnlineRowReader
from sequences.views import SEQUENCE_VIEWS, SequenceView

FEATURE_SERVICE = "recommender"
NO_POSITION = Position("", 0)


class UserFeatures(dict[str, Mapping[str, Sequence[Any]]]):
    """The features of a user as view ▸ attribute ▸ list.

    Sequences are oldest first. `user_profile` has one value per list, or none for a user without a profile. All lists of an unknown
    user are empty. Lists are decoded on first access.

    Attributes:
        version: Equal for reads with equal features.
        applied: The user's events of the event store up to here are in the features.
        events_error: Why the event store could not be read, so that the features are the materialized ones; None: it was read.
    """

    version: Hashable = None
    applied: Position = NO_POSITION
    events_error: StoreUnavailable | None = None


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

    def read(self, user_id: str) -> UserFeatures:
        """All views of the feature service, equal to the offline store at the current time."""
        state, row = self._rows.read([STATE_USER, user_id])
        position = position_of({name: decode_values(value) for name, value in state[STATE_VIEW.name].values.items()})
        try:
            found, error = self._open_events().of_user(user_id, position), None
        except StoreUnavailable as unavailable:
            found, error = UserEvents(NO_POSITION.store, 0), unavailable
        features = self._merge({view: _lazy_columns(row[view]) for view in self._names}, found)
        features.version = found.store, found.last_seq, tuple(row[view].version for view in self._names)
        is_covered = position is not None and position.store == found.store
        features.applied = Position(found.store, max(found.last_seq, position.seq if position and is_covered else 0))
        features.events_error = error
        return features

    def read_events(self, user_id: str) -> UserFeatures:
        """The views with the events of the event store alone, for when the online store does not respond.

        Raises:
            StoreUnavailable: The event store cannot be read.
        """
        found = self._open_events().of_user(user_id)
        features = self._merge({view: {name: [] for name in names} for view, names in self._names.items()}, found)
        features.version, features.applied = (found.store, found.last_seq, None), Position(found.store, found.last_seq)
        return features

    def _merge(self, batch: Mapping[str, Mapping[str, Sequence[Any]]], found: UserEvents) -> UserFeatures:
        features, live = UserFeatures(batch), live_events(found)
        for name, view in self._views.items():
            features[name] = merge_parts(view, batch[name], live)
        return features

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
