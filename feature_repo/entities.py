"""Who and what features are about."""

from feast import Entity
from feast.value_type import ValueType

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING, description="A listener.")
track = Entity(
    name="track", join_keys=["track_id"], value_type=ValueType.STRING, description="A track of the catalogue."
)
