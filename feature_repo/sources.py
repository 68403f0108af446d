"""Feast entities and sources: the marts in Parquet files, timestamps in UTC without time zone.

The offline stores read the marts of the settings, wherever these are.
"""

from feast import Entity, FileSource
from feast.data_format import ParquetFormat
from feast.value_type import ValueType

from sequences.sequence_views import SEQUENCE_TAG, SEQUENCE_VIEWS

# Features of tracks are read in process, not through Feast: a request ranks hundreds of candidates.
user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING, description="A user.")

user_profiles = FileSource(
    name="user_profiles",
    path="marts/user_profiles.parquet",
    file_format=ParquetFormat(),
    timestamp_field="known_at",
)

# All sequence views read the same event table. The tag carries the view's definition to the offline store.
event_sources = {
    name: FileSource(
        name=f"{name}_source",
        path="marts/events.parquet",
        file_format=ParquetFormat(),
        timestamp_field="known_at",
        tags={SEQUENCE_TAG: view.to_json()},
    )
    for name, view in SEQUENCE_VIEWS.items()
}
