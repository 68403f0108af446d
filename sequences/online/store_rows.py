"""Reading and writing of encoded rows in Feast's online store (SQLite or Redis).

Independent of the meaning of features.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import feast
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.redis import RedisOnlineStoreConfig
from feast.infra.online_stores.sqlite import _quote_id, _table_id
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import FloatList, Int64List, StringList, Value

from sequences.views import Kind

STATE_USER = ""
"""Reserved user id of the row with the state of materialization; real user ids are never empty."""
KEY_VERSION = 3
"""`entity_key_serialization_version` of feature_repo/feature_store.yaml."""


@dataclass
class OnlineRow:
    """One user's row of one view."""

    version: Hashable  # time of the write as the store keeps it; None: never written
    values: dict[str, bytes | None]  # feature ▸ stored bytes


class OnlineRowReader:
    """Reader of rows of several views with one call to the store; thread-safe.

    Args:
        store: The Feast store.
        features: view ▸ features. Views are read in this order, those of a SQLite store at one moment.
    """

    def __init__(self, store: feast.FeatureStore, features: Mapping[feast.FeatureView, Sequence[str]]) -> None:
        self._config = store.config
        online: Any = store._get_provider().online_store
        self._store, self._is_redis = online, is_redis(store)
        self._names = {view.name: list(names) for view, names in features.items()}
        # Feast's Redis store keeps all views of a user in one hash, which one command reads.
        self._fields = [
            field
            for view, names in features.items()
            for field in (online._generate_hset_keys_for_features(view, list(names))[1] if self._is_redis else ())
        ]
        # An expression has no declared type, so that Feast's converter is not called for every value.
        self._selects = [
            f"select {place}, entity_key, feature_name, value, event_ts + 0 from {_table(store, view)}"  # noqa: S608
            for place, view in enumerate(features)
        ]

    def read(self, user_ids: Sequence[str]) -> list[dict[str, OnlineRow]]:
        """view ▸ row for each user, in the order of `user_ids`."""
        keys = [user_key(user_id) for user_id in user_ids]
        return self._read_hashes(keys) if self._is_redis else self._read_tables(keys)

    def _read_hashes(self, keys: list[EntityKey]) -> list[dict[str, OnlineRow]]:
        hashes = self._store._generate_redis_keys_for_entities(self._config, keys)
        rows = []
        for values in self._store._read_hash_fields(self._config, [(name, self._fields) for name in hashes]):
            row, place = {}, 0
            for view, names in self._names.items():
                row[view] = OnlineRow(values[place + len(names)], dict(zip(names, values[place:], strict=False)))
                place += len(names) + 1
            rows.append(row)
        return rows

    def _read_tables(self, keys: list[EntityKey]) -> list[dict[str, OnlineRow]]:
        """Rows of a SQLite store, which has a table for each view. `online_read` would parse every value."""
        encoded = [_encoded(key) for key in keys]
        marks = ",".join([f"?{place + 1}" for place in range(len(keys))])
        query = " union all ".join([f"{select} where entity_key in ({marks})" for select in self._selects])
        none = [dict.fromkeys(names) for names in self._names.values()]
        found = {key: [OnlineRow(None, dict(values)) for values in none] for key in encoded}
        for place, key, name, value, time in self._store._get_conn(self._config).execute(query, encoded):
            row = found[key][place]
            row.version = time
            if name in row.values:  # a feature that the view had before
                row.values[name] = value
        return [dict(zip(self._names, found[key], strict=True)) for key in encoded]


def write_rows(
    store: feast.FeatureStore, view: feast.FeatureView, rows: Sequence[tuple[str, Mapping[str, Any], datetime]]
) -> None:
    """Write rows of (user, feature ▸ value, row time), as the pipeline does (`online_stores.SequenceStore.write_rows`)."""
    data = [(user_key(user_id), values, time, time) for user_id, values, time in rows]
    online: Any = store._get_provider().online_store
    online.write_rows(store.config, view, data)


def stored_users(store: feast.FeatureStore, views: Sequence[feast.FeatureView]) -> Iterator[str]:
    """Ids of the users with a row in one of the views, in no order; Redis: of all users with a row."""
    online: Any = store._get_provider().online_store
    begin, project = len(_encoded(user_key(""))), store.config.project.encode()
    if is_redis(store):
        pattern = _encoded(user_key(""))[:-4] + b"*" + project  # without the length of the id
        names = online._get_client(store.config.online_store).scan_iter(pattern, count=10_000)
        keys = (name[: -len(project)] for name in names)
    else:
        query = " union ".join(f"select entity_key from {_table(store, view)}" for view in views)  # noqa: S608
        keys = (key for (key,) in online._get_conn(store.config).execute(query))
    yield from (user for user in (key[begin:].decode() for key in keys) if user != STATE_USER)


def is_redis(store: feast.FeatureStore) -> bool:
    """Whether the online store is Redis, else it is a SQLite file."""
    return isinstance(store.config.online_store, RedisOnlineStoreConfig)


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


def _encoded(key: EntityKey) -> bytes:
    encoded: bytes = serialize_entity_key(key, entity_key_serialization_version=KEY_VERSION)
    return encoded


def _table(store: feast.FeatureStore, view: feast.FeatureView) -> str:
    config = store.config
    name: str = _quote_id(_table_id(config.project, view, config.registry.enable_online_feature_view_versioning))
    return name
