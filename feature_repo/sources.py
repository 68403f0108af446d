"""The marts that features are read from: Parquet, times naive UTC."""

from feast import FileSource
from feast.data_format import ParquetFormat

from sequences.feast_store import published_marts
from sequences.views import SEQUENCE_TAG, SEQUENCE_VIEWS

user_profiles = FileSource(
    name="user_profiles",
    path=str(published_marts() / "user_profiles.parquet"),
    file_format=ParquetFormat(),
    timestamp_field="known_at",
)
track_statistics_by_day = FileSource(
    name="track_statistics_by_day",
    path=str(published_marts() / "track_statistics.parquet"),
    file_format=ParquetFormat(),
    timestamp_field="known_at",
)

# Every sequence view reads the one event table. The tag carries the view's definition to the offline store.
event_sources = {
    name: FileSource(
        name=f"{name}_source",
        path=str(published_marts() / "events.parquet"),
        file_format=ParquetFormat(),
        timestamp_field="known_at",
        tags={SEQUENCE_TAG: view.to_json()},
    )
    for name, view in SEQUENCE_VIEWS.items()
}
