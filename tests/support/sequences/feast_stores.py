"""A Feast store over hand-made marts, in a temporary home."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import feast
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.repo_config import RegistryConfig, RepoConfig
from feast.types import Array, Float32, Int64, String

from event_store.opened import now_us
from event_store.sqlite_stores import SqliteEventStore
from sequences.sequence_views import SEQUENCE_TAG, SequenceView

USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
KIND = {"string": Array(String), "time": Array(Int64), "order": Array(Int64), "ratio": Array(Float32)}


def sqlite_store(folder: Path, views: dict[str, SequenceView], extra: list[Any] | None = None) -> feast.FeatureStore:
    """`feature_store` with a SQLite file in the folder."""
    return feature_store(folder, views, sqlite_online_store(folder), extra)


def sqlite_online_store(folder: Path) -> dict[str, Any]:
    """Feast's `online_store` configuration for a file in the folder, as in `feature_repo/feature_store.yaml`."""
    return {
        "type": "sequences.online.online_stores.SequenceSqliteOnlineStore",
        "path": str(folder / "online.db"),
    }


DUCKDB: dict[str, Any] = {"offline_store": {"type": "sequences.offline.duckdb_store.SequenceOfflineStore"}}
SPARK: dict[str, Any] = {
    "offline_store": {"type": "sequences.offline.spark.spark_store.SparkSequenceOfflineStore"},
    "batch_engine": {"type": "spark.engine"},
    "materialization": {"pull_latest_features": True},
}


def repo_config(folder: Path, online_store: dict[str, Any], engine: dict[str, Any]) -> RepoConfig:
    """Configuration of a store whose registry is in the folder."""
    return RepoConfig(
        project="tests",
        provider="local",
        registry=RegistryConfig(path=str(folder / "registry.db"), cache_ttl_seconds=0),
        online_store=online_store,
        entity_key_serialization_version=3,
        repo_path=folder,
        **engine,
    )


def feature_store(
    folder: Path,
    views: dict[str, SequenceView],
    online_store: dict[str, Any],
    extra: list[Any] | None = None,
    engine: dict[str, Any] = DUCKDB,
) -> feast.FeatureStore:
    """A store with the views, the profile and the feature service applied; its event store is in the folder, too."""
    store = feast.FeatureStore(config=repo_config(folder, online_store, engine))
    made = [feature_view(USER, folder / "events.parquet", view) for view in views.values()]
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
    service = FeatureService(name="recommender", features=[*made, profile])
    store.apply([USER, *made, profile, service, *(extra or [])])
    online: Any = store._get_provider().online_store
    online.events = SqliteEventStore(folder, now_us)
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
