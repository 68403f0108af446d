"""Feast's online stores with the users' newest events: `online_store: type: sequences.online.online_stores.Sequence...OnlineStore`.

A sequence that is read contains the materialized events and those that the event store has beyond them; of a user without events
it is an empty list, as offline, not null. So `get_online_features` gives what the recommender uses, also by `feast serve`.

A row that is written by others than the pipeline, for instance by `feast materialize`, ends what is known about the rows: the
next run of the pipeline reads everything, and meanwhile readers read all of the event store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from feast import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig

from config import settings
from event_store.opened import open_event_store
from event_store.store import EventStore, UserEvents
from sequences.offline.joined_views import sequence_view_of
from sequences.online.codec import LazyColumn, value_list
from sequences.online.live_events import live_events, merge_parts
from sequences.online.materialization_state import STATE_VIEW, forget_content, position_of
from sequences.online.store_rows import STATE_USER, to_list_value, user_key
from sequences.views import ATTRIBUTES, SORT_KEY_ATTRIBUTES, SequenceView

ReadRow = tuple[datetime | None, dict[str, Value] | None]
WrittenRows = list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]]
if TYPE_CHECKING:
    _Base = SqliteOnlineStore
else:
    _Base = object


class SequenceStore(_Base):
    """What both stores have in common; a base before Feast's class."""

    _events: EventStore | None = None

    @property
    def events(self) -> EventStore:
        """The event store: that of the settings unless another one was set.

        Raises:
            StoreUnavailable: It cannot be opened.
        """
        if self._events is None:
            self._events = open_event_store(settings.load_settings())
        return self._events

    @events.setter
    def events(self, events: EventStore) -> None:
        self._events = events

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[ReadRow]:
        """The rows of a view, sequences with the newest events.

        Raises:
            StoreUnavailable: The event store cannot be read.
        """
        view = sequence_view_of(table.batch_source)
        if view is None:
            return super().online_read(config, table, entity_keys, list(requested_features or ()) or None)
        names = requested_features or [feature.name for feature in table.features]
        # In this order: events that materialization moves to the rows meanwhile are read twice rather than not at all.
        after = position_of(self._read_state(config))
        needed = dict.fromkeys([*names, *(attribute.name for attribute in SORT_KEY_ATTRIBUTES)])
        rows = super().online_read(config, table, entity_keys, list(needed))
        found: list[ReadRow] = []
        for key, (time, values) in zip(entity_keys, rows, strict=True):
            events = self.events.of_user(key.entity_values[0].string_val, after)
            found.append((time, _merge(view, names, values or {}, events)))
        return found

    async def online_read_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[ReadRow]:
        """See `online_read`."""
        return await asyncio.to_thread(self.online_read, config, table, entity_keys, requested_features)

    def online_write_batch(
        self, config: RepoConfig, table: FeatureView, data: WrittenRows, progress: Callable[[int], Any] | None
    ) -> None:
        """Write rows of others than the pipeline."""
        self._forget_content(config)
        super().online_write_batch(config, table, data, progress)

    async def online_write_batch_async(
        self, config: RepoConfig, table: FeatureView, data: WrittenRows, progress: Callable[[int], Any] | None
    ) -> None:
        """See `online_write_batch`."""
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)

    def write_rows(self, config: RepoConfig, table: FeatureView, data: WrittenRows) -> None:
        """Write rows of the pipeline, which knows what they contain."""
        super().online_write_batch(config, table, data, None)

    def _read_state(self, config: RepoConfig) -> dict[str, Any]:
        ((_, values),) = super().online_read(config, STATE_VIEW, [user_key(STATE_USER)], None)
        return {name: value_list(value) for name, value in (values or {}).items()}

    def _forget_content(self, config: RepoConfig) -> None:
        if (values := forget_content(self._read_state(config))) is not None:
            now = datetime.now(UTC)
            self.write_rows(config, STATE_VIEW, [(user_key(STATE_USER), values, now, now)])


class SequenceSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """Configuration of `SequenceSqliteOnlineStore`."""

    type: Literal["sequences.online.online_stores.SequenceSqliteOnlineStore"]  # type: ignore[assignment]


class SequenceSqliteOnlineStore(SequenceStore, SqliteOnlineStore):
    """Feast's SQLite store with the newest events."""

    _prepared: Any = None  # connection to a file that has the table of the state

    def _get_conn(self, config: RepoConfig) -> Any:
        connection = super()._get_conn(config)
        if connection is not self._prepared:
            self._prepared = connection  # `update` needs the connection, too
            try:
                # So that a commit does not wait for readers; persistent in the file.
                connection.execute("pragma journal_mode = wal")
                self.update(config, [], [STATE_VIEW], [], [], partial=True)
            except BaseException:
                self._prepared = None
                raise
        return connection


class SequenceRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Configuration of `SequenceRedisOnlineStore`."""

    type: Literal["sequences.online.online_stores.SequenceRedisOnlineStore"]  # type: ignore[assignment]


class SequenceRedisOnlineStore(SequenceStore, RedisOnlineStore):
    """Feast's Redis store with the newest events."""

    # View by view with `online_read`; Feast's class reads the hashes of all views without it.
    _read_features_per_fv = OnlineStore._read_features_per_fv
    _read_features_per_fv_async = OnlineStore._read_features_per_fv_async


def _merge(view: SequenceView, names: Sequence[str], values: dict[str, Value], events: UserEvents) -> dict[str, Value]:
    batch = {
        name: LazyColumn(partial(value_list, values[name])) if name in values else [] for name in view.attribute_names
    }
    merged = merge_parts(view, batch, live_events(events))
    # A long list that stays as it is is not decoded. A row that was emptied has values without a list.
    stored = {name: value for name, value in values.items() if merged is batch and value.WhichOneof("val")}
    return {name: stored.get(name) or to_list_value(ATTRIBUTES[name].kind, merged[name]) for name in names}
