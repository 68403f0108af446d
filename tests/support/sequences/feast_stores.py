"""A Feast store over hand-made marts, in a temporary home."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import feast
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.data_format import ParquetFormat
from feast.repo_config import RegistryConfig, RepoConfig
from feast.types import Array, Float32, Int64, String

from sequences.views import LIVE_ATTRIBUTES, LIVE_SOURCE, LIVE_VIEW, SEQUENCE_TAG, SequenceView

USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
KIND = {"string": Array(String), "time": Array(Int64), "order": Array(Int64), "ratio": Array(Float32)}


def sqlite_store(folder: Path, views: dict[str, SequenceView], extra: list[Any] | None = None) -> feast.FeatureStore:
    """`feature_store` with a SQLite file in the folder."""
    return feature_store(folder, views, {"type": "sqlite", "path": str(folder / "online.db")}, extra)


DUCKDB: dict[str, Any] = {"offline_store": {"type": "sequences.offline.duckdb_store.SequenceOfflineStore"}}
SPARK: dict[str, Any] = {
    "offline_store": {"type": "sequences.offline.spark.spark_store.SparkSequenceOfflineStore"},
    "batch_engine": {"type": "spark.engine"},
    "materialization": {"pull_latest_features": True},
}


def feature_store(
    folder: Path,
    views: dict[str, SequenceView],
    online_store: dict[str, Any],
    extra: list[Any] | None = None,
    engine: dict[str, Any] = DUCKDB,
) -> feast.FeatureStore:
    """A store with the views, the live events, the profile and the feature service applied."""
    config = RepoConfig(
        project="tests",
        provider="sequences.online.feast_provider.SequenceProvider",
        registry=RegistryConfig(path=str(folder / "registry.db"), cache_ttl_seconds=0),
        online_store=online_store,
        entity_key_serialization_version=3,
        repo_path=folder,
        **engine,
    )
    store = feast.FeatureStore(config=config)
    made = [feature_view(USER, folder / "events.parquet", view) for view in views.values()]
    source = PushSource(
        name=LIVE_SOURCE, batch_source=feature_view(USER, folder / "events.parquet", LIVE_VIEW).batch_source
    )
    live = FeatureView(
        name=LIVE_SOURCE,
        entities=[USER],
        schema=[
            Field(name="user_id", dtype=String),
            *(Field(name=a.name, dtype=KIND[a.kind]) for a in LIVE_ATTRIBUTES),
        ],
        source=source,
    )
    if not (folder / "user_profiles.parquet").exists():
        pq.write_table(
            pa.table(
                {
                    "user_id": pa.array([], pa.string()),
                    "known_at": pa.array([], pa.timestamp("us")),
                    "plays_total": pa.array([], pa.int64()),
                }
            ),
            folder / "user_profiles.parquet",
        )
    profile = FeatureView(
        name="user_profile",
        entities=[USER],
        schema=[Field(name="user_id", dtype=String), Field(name="plays_total", dtype=Int64)],
        source=FileSource(
            name="profiles",
            path=str(folder / "user_profiles.parquet"),
            file_format=ParquetFormat(),
            timestamp_field="known_at",
        ),
    )
    service = FeatureService(name="recommender", features=[*made, live, profile])
    store.apply([USER, *made, live, profile, service, *(extra or [])])
    return store


def feature_view(user: Entity, path: Path, view: SequenceView) -> FeatureView:
    """A sequence view over the event table at `path`."""
    return FeatureView(
        name=view.name,
        entities=[user],
        schema=[
            Field(name="user_id", dtype=String),
            *(Field(name=a.name, dtype=KIND[a.kind]) for a in view.attributes),
        ],
        source=FileSource(
            name=f"{view.name}_source",
            path=str(path),
            file_format=ParquetFormat(),
            timestamp_field="known_at",
            tags={SEQUENCE_TAG: view.to_json()},
        ),
    )


def live_row(store: feast.FeatureStore, user: str, event_id: str, at: datetime) -> pd.DataFrame:
    """A row for the push source of live events, with one event that has only an id."""
    values = {field.name: [None] for field in store.get_feature_view(LIVE_SOURCE).features}
    return pd.DataFrame({"user_id": [user], "known_at": [at], **values, "event_id": [[event_id]]})
