"""Reading and writing of encoded rows in Feast's online store (SQLite or Redis).

Independent of the meaning of features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import feast
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.sqlite import _quote_id, _table_id
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import FloatList, Int64List, StringList, Value
from google.protobuf.timestamp_pb2 import Timestamp

from sequences.views import Kind

STORE_MARKER_USER = ""
"""Reserved user id of the row that identifies the store's content; real user ids are never empty."""


@dataclass(frozen=True)
class OnlineRow:
    """One user's row of one view."""

    written_at: datetime | None  # None: never written
    values: Mapping[str, bytes | None]  # feature ▸ stored bytes


class OnlineRowReader:
    """Reader of rows of several views with the minimum number of store calls; thread-safe.

    Args:
        store: The Feast store.
        features: view ▸ features. Views are read in this order.
    """

    def __init__(self, store: feast.FeatureStore, features: Mapping[str, Sequence[str]]) -> None:
        self._config = store.config
        self._lock = _connection_lock(store)
        online: Any = store._get_provider().online_store
        self._store = online
        self._features = {store.get_feature_view(view): list(names) for view, names in features.items()}
        # Feast's Redis store keeps all views of a user in one hash, which one command reads.
        self._fields = [
            online._generate_hset_keys_for_features(view, list(names))[1]
            for view, names in self._features.items()
            if store.config.online_store.type == "redis"
        ]

    def read(self, user_ids: Sequence[str]) -> list[dict[str, OnlineRow]]:
        """view ▸ row for each user, in the order of `user_ids`."""
        keys = [user_key(user_id) for user_id in user_ids]
        with self._lock:
            return self._read_hashes(keys) if self._fields else self._read_tables(keys)

    def _read_hashes(self, keys: list[EntityKey]) -> list[dict[str, OnlineRow]]:
        fields = [field for view_fields in self._fields for field in view_fields]
        hashes = self._store._generate_redis_keys_for_entities(self._config, keys)
        rows = []
        for values in self._store._read_hash_fields(self._config, [(name, fields) for name in hashes]):
            row, place = {}, 0
            for view, names in self._features.items():
                written_at = values[place + len(names)]
                row[view.name] = OnlineRow(
                    Timestamp.FromString(written_at).ToDatetime(UTC) if written_at else None,
                    dict(zip(names, values[place:], strict=False)),
                )
                place += len(names) + 1
            rows.append(row)
        return rows

    def _read_tables(self, keys: list[EntityKey]) -> list[dict[str, OnlineRow]]:
        """Rows of a SQLite store, which has a table for each view. `online_read` would parse every value."""
        connection, config = self._store._get_conn(self._config), self._config
        version = config.entity_key_serialization_version
        encoded_keys = [serialize_entity_key(key, entity_key_serialization_version=version) for key in keys]
        rows: list[dict[str, OnlineRow]] = [{} for _ in keys]
        for view, names in self._features.items():
            table = _table_id(config.project, view, config.registry.enable_online_feature_view_versioning)
            # An expression has no declared type, so that Feast's converter is not called for every value.
            found = connection.execute(
                f"select entity_key, feature_name, value, event_ts + 0 from {_quote_id(table)}"  # noqa: S608
                f" where entity_key in ({','.join('?' * len(encoded_keys))})",
                encoded_keys,
            )
            values: dict[bytes, dict[str, bytes | None]] = {key: dict.fromkeys(names) for key in encoded_keys}
            written_at: dict[bytes, int] = {}
            for key, name, value, time in found:
                if name in values[key]:
                    values[key][name] = value
                written_at[key] = time
            for row, key in zip(rows, encoded_keys, strict=True):
                time = datetime.fromtimestamp(written_at[key], UTC) if key in written_at else None
                row[view.name] = OnlineRow(time, values[key])
        return rows


def write_rows(
    store: feast.FeatureStore, view: feast.FeatureView, rows: Sequence[tuple[str, Mapping[str, Any], datetime]]
) -> None:
    """Write rows of (user, feature ▸ value, row time): `FeatureStore.push` without a data frame."""
    data: Any = [(user_key(user_id), values, time, time) for user_id, values, time in rows]
    with _connection_lock(store):
        store._get_provider().online_write_batch(store.config, view, data, None)


def compare_and_set_rows(
    store: feast.FeatureStore,
    view: feast.FeatureView,
    rows: Sequence[tuple[str, Mapping[str, Any], datetime, datetime | None]],
) -> list[str]:
    """Write rows whose stored version is unchanged (optimistic concurrency control); returns the conflicting users.

    A conflicting row is not written: a delayed writer must not overwrite the row of its successor. SQLite does not check
    versions, because only one process writes its file.

    Args:
        store: The Feast store.
        view: The view of the rows.
        rows: (user, feature ▸ value, new row time, row time of the version that the values were computed from). All
            rows have the same features, in the same order.
    """
    if store.config.online_store.type != "redis":
        write_rows(store, view, [(user_id, values, time) for user_id, values, time, _ in rows])
        return []
    online: Any = store._get_provider().online_store
    names = online._generate_redis_keys_for_entities(store.config, [user_key(user_id) for user_id, *_ in rows])
    *fields, time_field = map(_pack_string, online._generate_hset_keys_for_features(view, list(rows[0][1]))[1])
    with online._get_client(store.config.online_store).pipeline(transaction=False) as commands:
        for name, (_, values, time, before) in zip(names, rows, strict=True):
            parts = [
                _pack_string(b"" if before is None else _encode_time(before)),
                time_field,
                _pack_string(_encode_time(time)),
            ]
            for field, value in zip(fields, values.values(), strict=True):
                parts += (field, _pack_string(value.SerializeToString()))
            # One packed argument: the Redis client is slower with many arguments than packing them.
            commands.eval(_COMPARE_AND_SET, 1, name, _ARRAY + len(parts).to_bytes(2, "big") + b"".join(parts))
        written = commands.execute()
    return [user_id for (user_id, *_), is_written in zip(rows, written, strict=True) if not is_written]


_COMPARE_AND_SET = """
local parts = cmsgpack.unpack(ARGV[1])
if (redis.call('HGET', KEYS[1], parts[2]) or '') ~= parts[1] then return 0 end
redis.call('HSET', KEYS[1], unpack(parts, 2))
return 1
"""
_ARRAY, _STRING = b"\xdc", b"\xdb"
"""MessagePack type bytes: array 16 and str 32."""


def _pack_string(part: str | bytes) -> bytes:
    encoded = part.encode() if isinstance(part, str) else part
    return _STRING + len(encoded).to_bytes(4, "big") + encoded


def _encode_time(time: datetime) -> bytes:
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return bytes(timestamp.SerializeToString())


def _connection_lock(store: feast.FeatureStore) -> AbstractContextManager[Any]:
    """Lock of the store's connection; no-op except for SQLite.

    Feast's SQLite store has one connection, which only one thread may use at a time: concurrent writers would commit each
    other's partial transactions, and overlapping reads share one snapshot.
    """
    if store.config.online_store.type != "sqlite":
        return nullcontext()
    with _REGISTRY_LOCK:
        return _CONNECTION_LOCKS.setdefault(store._get_provider().online_store, Lock())


_REGISTRY_LOCK = Lock()
_CONNECTION_LOCKS: WeakKeyDictionary[Any, Lock] = WeakKeyDictionary()


def user_key(user_id: str) -> EntityKey:
    """The entity key of a user."""
    return EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=user_id)])


def to_list_value(kind: Kind, values: Sequence[Any]) -> Value:
    """The `Value` of a list of attribute values."""
    if kind == "string":
        return Value(string_list_val=StringList(val=values))
    if kind in ("time", "order"):
        return Value(int64_list_val=Int64List(val=values))
    return Value(float_list_val=FloatList(val=values))


def to_int_value(value: int | None) -> Value:
    """The `Value` of an integer; empty for None."""
    return Value() if value is None else Value(int64_val=value)
