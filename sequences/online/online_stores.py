"""Feast's online stores with the users' newest events: `online_store: type: sequences.online.online_stores.Sequence...OnlineStore`.

A sequence that is read contains the materialized events and those that the event store has beyond them; of a user without events
it is an empty list, as offline, not null. So `get_online_features` gives what the recommender uses, also by `feast serve`.

A row that is written by others than the pipeline, for instance by `feast materialize`, ends what is known about the rows: the
next run of the pipeline reads everything, and meanwhile readers read all of the event store.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property, partial
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, Literal, cast

from feast import FeatureStore, FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig, _quote_id, _table_id
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig
from feast.type_map import python_values_to_proto_values

from config import settings
from event_store.opened import open_event_store
from event_store.store import EventStore
from sequences.feast_store import open_store
from sequences.online.live_events import Event, LazyLists, live_events, merge_parts
from sequences.online.materialization_state import STATE_USER, STATE_VIEW, StoredState
from sequences.sequence_views import SequenceView, sequence_view_of

ReadRow = tuple[datetime | None, dict[str, Value] | None]
WrittenRows = Sequence[tuple[EntityKey, dict[str, Value], datetime, datetime | None]]
LIST_FIELDS = frozenset({"string_list_val", "int64_list_val", "float_list_val"})
if TYPE_CHECKING:
    _Base = SqliteOnlineStore
else:
    _Base = object


class SequenceStore(_Base):
    """What both stores have in common; a base before Feast's class."""

    kind: str

    @cached_property
    def events(self) -> EventStore:
        """The event store of the settings, unless another one was set.

        Raises:
            StoreUnavailable: It cannot be opened.
        """
        return open_event_store(settings.load_settings())

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
            return self.read_rows(config, table, entity_keys, requested_features)
        dtypes = {feature.name: feature.dtype.to_value_type() for feature in table.features}
        # In this order: events that materialization moves to the rows meanwhile are read twice rather than not at all.
        after = self.read_state(config).position
        rows = self.read_rows(config, table, entity_keys)
        found: list[ReadRow] = []
        for key, (time, values) in zip(entity_keys, rows, strict=True):
            events = live_events(self.events.of_user(key.entity_values[0].string_val, after))
            lists = merge_lists(view, values or {}, events)
            # A long list that stays as it is is not decoded. A row that was emptied has values without a list.
            stored = (
                {} if events else {name: value for name, value in (values or {}).items() if value.WhichOneof("val")}
            )
            merged = {
                name: stored.get(name) or python_values_to_proto_values([lists[name]], dtypes[name])[0]
                for name in requested_features or dtypes
            }
            found.append((time, merged))
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
        state = self.read_state(config)
        if state != (forgotten := StoredState(as_of=state.as_of)):
            self.write_state(config, forgotten)
        self.write_rows(config, table, data, progress)

    async def online_write_batch_async(
        self, config: RepoConfig, table: FeatureView, data: WrittenRows, progress: Callable[[int], Any] | None
    ) -> None:
        """See `online_write_batch`."""
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)

    def read_rows(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[ReadRow]:
        """The materialized rows of a view."""
        return super().online_read(config, table, entity_keys, list(requested_features or ()) or None)

    def read_views(self, config: RepoConfig, views: Sequence[FeatureView], user_id: str) -> list[ReadRow]:
        """The materialized rows of a user in several views, read at once."""
        raise NotImplementedError

    def write_rows(
        self, config: RepoConfig, table: FeatureView, data: WrittenRows, progress: Callable[[int], Any] | None = None
    ) -> None:
        """Write rows of the pipeline, which knows what they contain."""
        super().online_write_batch(config, table, list(data), progress)

    def read_state(self, config: RepoConfig) -> StoredState:
        """What the rows contain."""
        ((_, values),) = self.read_rows(config, STATE_VIEW, [user_key(STATE_USER)])
        return StoredState.of(values)

    def write_state(self, config: RepoConfig, state: StoredState) -> None:
        """Replace what the rows contain."""
        now = datetime.now(UTC)
        self.write_rows(config, STATE_VIEW, [(user_key(STATE_USER), state.to_values(), now, now)])

    def user_ids(self, config: RepoConfig, views: Sequence[FeatureView]) -> Iterator[str]:
        """Ids of the users with a row in one of the views, in no order; Redis: of all users with a row."""
        begin = len(_encoded(config, ""))
        yield from (user for key in self._keys(config, views) if (user := key[begin:].decode()) != STATE_USER)

    def _keys(self, config: RepoConfig, views: Sequence[FeatureView]) -> Iterator[bytes]:
        """Encoded keys of the rows."""
        raise NotImplementedError


class SequenceSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """Configuration of `SequenceSqliteOnlineStore`."""

    type: Literal["sequences.online.online_stores.SequenceSqliteOnlineStore"]  # type: ignore[assignment]


class SequenceSqliteOnlineStore(SequenceStore, SqliteOnlineStore):
    """Feast's SQLite store with the newest events."""

    kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self._of_thread = threading.local()  # threads that share a connection get each other's errors and transactions

    @property
    def _conn(self) -> Any:
        return getattr(self._of_thread, "connection", None)

    @_conn.setter
    def _conn(self, connection: Any) -> None:
        self._of_thread.connection = connection

    def _get_conn(self, config: RepoConfig) -> Any:
        is_open = self._conn is not None
        connection = super()._get_conn(config)
        if not is_open:
            try:
                with suppress(sqlite3.OperationalError):  # others read meanwhile: the next connection changes the file
                    connection.execute("pragma journal_mode = wal")  # a commit does not wait for readers
                self.update(config, [], [STATE_VIEW], [], [], partial=True)
            except BaseException:
                self._conn = None
                raise
        return connection

    def read_views(self, config: RepoConfig, views: Sequence[FeatureView], user_id: str) -> list[ReadRow]:
        """See `SequenceStore.read_views`."""
        query = " union all ".join(
            f"select {number}, event_ts, feature_name, value from {table} where entity_key = ?1"  # noqa: S608
            for number, table in enumerate(_tables(config, views))
        )
        rows = list[ReadRow]([(None, None)] * len(views))
        for number, time, name, value in self._get_conn(config).execute(query, (_encoded(config, user_id),)):
            rows[number] = time, {**(rows[number][1] or {}), name: Value.FromString(value)}
        return rows

    def _keys(self, config: RepoConfig, views: Sequence[FeatureView]) -> Iterator[bytes]:
        query = " union ".join(f"select entity_key from {table}" for table in _tables(config, views))  # noqa: S608
        return (key for (key,) in self._get_conn(config).execute(query))


class SequenceRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Configuration of `SequenceRedisOnlineStore`."""

    type: Literal["sequences.online.online_stores.SequenceRedisOnlineStore"]  # type: ignore[assignment]


class SequenceRedisOnlineStore(SequenceStore, RedisOnlineStore):
    """Feast's Redis store with the newest events."""

    kind = "redis"

    # View by view with `online_read`; Feast's class reads the hashes of all views without it.
    _read_features_per_fv = OnlineStore._read_features_per_fv
    _read_features_per_fv_async = OnlineStore._read_features_per_fv_async

    def read_views(self, config: RepoConfig, views: Sequence[FeatureView], user_id: str) -> list[ReadRow]:
        """See `SequenceStore.read_views`."""
        (key,) = self._generate_redis_keys_for_entities(config, [user_key(user_id)])
        names, fields = zip(*map(self._generate_hset_keys_for_features, views), strict=True)
        found = self._read_hash_fields(config, [(key, of_view) for of_view in fields])
        rows = zip(found, views, names, strict=True)
        return [self._get_features_for_entity(values, view.name, of_view) for values, view, of_view in rows]

    def _keys(self, config: RepoConfig, views: Sequence[FeatureView]) -> Iterator[bytes]:  # noqa: ARG002
        project = config.project.encode()
        pattern = _encoded(config, "")[:-4] + b"*" + project  # without the length of the id
        names = self._get_client(config.online_store).scan_iter(pattern, count=10_000)
        return (name[: -len(project)] for name in names)


def merge_lists(
    view: SequenceView, values: Mapping[str, Value], events: Sequence[Event]
) -> Mapping[str, Sequence[Any]]:
    """The lists of a materialized row (feature ▸ value) with the later events; a row that was never written is empty."""
    return merge_parts(view, LazyLists(view.attribute_names, partial(list_of, values)), events)


def list_of(values: Mapping[str, Value], name: str) -> list[Any]:
    """The list of a feature; of a scalar feature its single value; empty without a value."""
    for field, content in values[name].ListFields() if name in values else ():
        return content.val[:] if field.name in LIST_FIELDS else [content]
    return []


def online_store_of(store: FeatureStore) -> SequenceStore:
    """The online store of a Feast store."""
    online: Any = store._get_provider().online_store
    return cast(SequenceStore, online)


def materialized_users(limit: int, after: str = "") -> list[str]:
    """Sorted ids, greater than `after`, of at most `limit` users with a row in the online store of the settings."""
    store = open_store()
    users = online_store_of(store).user_ids(store.config, store.list_batch_feature_views())
    return nsmallest(limit, (user for user in users if user > after))


def _tables(config: RepoConfig, views: Sequence[FeatureView]) -> list[str]:
    """Quoted names of the tables of views in SQLite."""
    versioning = config.registry.enable_online_feature_view_versioning
    return [_quote_id(_table_id(config.project, view, versioning)) for view in views]


def user_key(user_id: str) -> EntityKey:
    """The entity key of a user."""
    return EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=user_id)])


def _encoded(config: RepoConfig, user_id: str) -> bytes:
    version = config.entity_key_serialization_version
    return serialize_entity_key(user_key(user_id), entity_key_serialization_version=version)
