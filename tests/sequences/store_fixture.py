"""A Feast store over hand-made marts, in a temporary home."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import feast
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.data_format import ParquetFormat
from feast.repo_config import RegistryConfig, RepoConfig
from feast.types import Array, Float32, Int64, String

from sequences.definition import LIVE_ATTRIBUTES, LIVE_SOURCE, TAG, SequenceView

KIND = {"string": Array(String), "time": Array(Int64), "order": Array(Int64), "ratio": Array(Float32)}


def sqlite_store(folder: Path, views: dict[str, SequenceView], extra: list[Any] | None = None) -> feast.FeatureStore:
    """The views (and the live part, the profile, the service) applied to an SQLite store under the folder."""
    config = RepoConfig(
        project="tests",
        provider="local",
        registry=RegistryConfig(path=str(folder / "registry.db"), cache_ttl_seconds=0),
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        offline_store={"type": "sequences.offline_store.SequenceOfflineStore"},
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    store = feast.FeatureStore(config=config)
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    made = [_view(user, folder / "events.parquet", view) for view in views.values()]
    source = PushSource(name=LIVE_SOURCE, batch_source=made[0].batch_source)
    live = FeatureView(
        name=LIVE_SOURCE,
        entities=[user],
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
        entities=[user],
        schema=[Field(name="user_id", dtype=String), Field(name="plays_total", dtype=Int64)],
        source=FileSource(
            name="profiles",
            path=str(folder / "user_profiles.parquet"),
            file_format=ParquetFormat(),
            timestamp_field="known_at",
        ),
    )
    service = FeatureService(name="recommender", features=[*made, live, profile])
    store.apply([user, *made, live, profile, service, *(extra or [])])
    return store


def _view(user: Entity, path: Path, view: SequenceView) -> FeatureView:
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
            tags={TAG: view.to_json()},
        ),
    )
