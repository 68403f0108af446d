"""The hash of what rows depend on besides the marts."""

from types import SimpleNamespace
from typing import Any

from feast import Field
from feast.types import Array, Float32, Int64, String

from sequences.online.changed_users import definition_hash
from sequences.views import SEQUENCE_VIEWS


def store(*fields: Field) -> Any:
    """A store in which all views have these features."""
    return SimpleNamespace(get_feature_view=lambda name: SimpleNamespace(features=fields))


def test_definition_is_that_of_the_registered_features() -> None:
    views = tuple(SEQUENCE_VIEWS.values())

    def hash_of(*fields: Field) -> str:
        return definition_hash(store(*fields), views, ["user_profile"])

    first, second = Field(name="at", dtype=Array(Int64)), Field(name="track_id", dtype=Array(String))
    # Equal types that are different objects, as in another process.
    assert hash_of(first, second) == hash_of(Field(name="at", dtype=Array(Int64)), second)
    assert hash_of(first, second) != hash_of(first)
    assert hash_of(first, second) != hash_of(Field(name="at", dtype=Array(Float32)), second)
    assert definition_hash(store(first), views, []) != definition_hash(store(first), views[:1], [])
