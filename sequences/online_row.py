"""Features as Feast's online stores hold them: protobuf values under an entity key.

Knows nothing about which store it is or what the features mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import feast
from feast.protos.feast.types import Value_pb2
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import FloatList, Int64List, StringList, Value

from sequences.definition import Kind


def user_key(user_id: str) -> EntityKey:
    """The entity key of a user."""
    return EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=user_id)])


def list_value(kind: Kind, values: Sequence[Any]) -> Value:
    """A list of an attribute's values."""
    if kind == "string":
        return Value(string_list_val=StringList(val=values))
    if kind in ("time", "order"):
        return Value(int64_list_val=Int64List(val=values))
    return Value(float_list_val=FloatList(val=values))


def list_of(value: Value | None) -> list[Any]:
    """The list in a value; empty when the store has none."""
    name = value.WhichOneof("val") if value is not None else None
    return list(getattr(value, name).val) if name else []


def number(value: int | None) -> Value:
    """A whole number, or nothing."""
    return Value_pb2.Value() if value is None else Value(int64_val=value)


def read_row(store: feast.FeatureStore, view: feast.FeatureView, user_id: str) -> tuple[Any, Mapping[str, Value]]:
    """One user's stored row of one view: its timestamp (None if there is no row) and its values."""
    ((timestamp, values),) = store._get_provider().online_read(store.config, view, [user_key(user_id)])
    return timestamp, values or {}
