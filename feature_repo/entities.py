"""Feast entities. Features of tracks are read in process, not through Feast: a request ranks hundreds of candidates."""

from feast import Entity
from feast.value_type import ValueType

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING, description="A user.")
