"""Rows of Feast's online store as the bytes they hold, whichever store it is.

Knows nothing about what the features mean.
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
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import FloatList, Int64List, StringList, Value
from google.protobuf.timestamp_pb2 import Timestamp

from sequences.views import Kind

STORE_MARKER_USER = ""
"""Whose row tells what the store holds; no user has an empty id."""


@dataclass(frozen=True)
class OnlineRow:
    """One user's row of one view: when it was written (None: never), and the stored bytes of each feature."""

    written_at: datetime | None
    values: Mapping[str, bytes | None]


class OnlineRowReader:
    """Reads rows of several views in as few steps as the store allows; thread-safe.

    A view is read before the ones that follow it in `features`.
    """

    def __init__(self, store: feast.FeatureStore, features: Mapping[str, Sequence[str]]) -> None:
        self._config = store.config
        self._lock = _connection_lock(store)
        online: Any = store._get_provider().online_store
        self._store = online
        self._features = {store.get_feature_view(name): list(wanted) for name, wanted in features.items()}
        # Feast's Redis store keeps everything about a user in one hash: one command gets it all.
        self._fields = [
            online._generate_hset_keys_for_features(view, list(wanted))[1]
            for view, wanted in self._features.items()
            if store.config.online_store.type == "redis"
        ]

    def read(self, user_ids: Sequence[str]) -> list[dict[str, OnlineRow]]:
        """view ▸ row, user by user."""
        keys = [user_key(user_id) for user_id in user_ids]
        with self._lock:
            return self._read_hashes(keys) if self._fields else self._read_views(keys)

    def _read_hashes(self, keys: list[EntityKey]) -> list[dict[str, OnlineRow]]:
        fields = [field for of_view in self._fields for field in of_view]
        hashes = self._store._generate_redis_keys_for_entities(self._config, keys)
        rows = []
        for values in self._store._read_hash_fields(self._config, [(name, fields) for name in hashes]):
            row, place = {}, 0
            for view, wanted in self._features.items():
                written_at = values[place + len(wanted)]
                row[view.name] = OnlineRow(
                    Timestamp.FromString(written_at).ToDatetime(UTC) if written_at else None,
                    dict(zip(wanted, values[place:], strict=False)),
                )
                place += len(wanted) + 1
            rows.append(row)
        return rows

    def _read_views(self, keys: list[EntityKey]) -> list[dict[str, OnlineRow]]:
        rows: list[dict[str, OnlineRow]] = [{} for _ in keys]
        for view, wanted in self._features.items():
            found = self._store.online_read(self._config, view, keys, list(wanted))
            for row, (written_at, values) in zip(rows, found, strict=True):
                encoded = {name: value.SerializeToString() for name, value in (values or {}).items()}
                row[view.name] = OnlineRow(written_at, {name: encoded.get(name) for name in wanted})
        return rows


def write_rows(
    store: feast.FeatureStore, view: feast.FeatureView, rows: Sequence[tuple[str, Mapping[str, Any], datetime]]
) -> None:
    """Writes (user, feature ▸ value, time of the row); what `FeatureStore.push` comes down to, without a data frame."""
    data: Any = [(user_key(user_id), values, time, time) for user_id, values, time in rows]
    with _connection_lock(store):
        store._get_provider().online_write_batch(store.config, view, data, None)


def compare_and_set_rows(
    store: feast.FeatureStore,
    view: feast.FeatureView,
    rows: Sequence[tuple[str, Mapping[str, Any], datetime, datetime | None]],
) -> list[str]:
    """Writes (user, feature ▸ value, time of the row, time of the row that the values were made of); users left out. All
    rows have the same features, in one order.

    Left out is who has another row by now: a writer that was held up must not undo what the next one has written. SQLite
    does not look: its file is for the writers of one process.
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
            # As one argument: the client takes longer for each of many than to pack all of them.
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
"""MessagePack's array 16 and str 32."""


def _pack_string(part: str | bytes) -> bytes:
    encoded = part.encode() if isinstance(part, str) else part
    return _STRING + len(encoded).to_bytes(4, "big") + encoded


def _encode_time(time: datetime) -> bytes:
    moment = Timestamp()
    moment.FromDatetime(time)
    return bytes(moment.SerializeToString())


def _connection_lock(store: feast.FeatureStore) -> AbstractContextManager[Any]:
    """Feast's SQLite store has one connection, and that is for one thread at a time: two writers in it would commit each
    other's halves, and a read that begins beside another one sees the state that the other began with.
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
    """A list of an attribute's values."""
    if kind == "string":
        return Value(string_list_val=StringList(val=values))
    if kind in ("time", "order"):
        return Value(int64_list_val=Int64List(val=values))
    return Value(float_list_val=FloatList(val=values))


def to_int_value(value: int | None) -> Value:
    """A whole number, or nothing."""
    return Value() if value is None else Value(int64_val=value)
