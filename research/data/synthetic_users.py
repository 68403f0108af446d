"""Users with full sequences for benchmarks of the online store: a synthetic event table, and stores over it.

A user has 2,900 listened plays, 1,100 skips, 60 clicks and 10 blocks, 29 events per day until `AS_OF`: every view but
`exclusions` is full, and the rows of a user take about 140 kB in the online store.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import feast
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureView, Field, FileSource, RepoConfig
from feast.data_format import ParquetFormat
from feast.types import Int64, String

from sequences.offline.list_reader import ListReader
from sequences.sequence_views import ATTRIBUTES, SEQUENCE_VIEWS
from tests.support.sequences.feast_stores import KIND, USER, feature_store

AS_OF = date(2026, 6, 1)
DAY_BEFORE = datetime(2026, 5, 31)
BEHAVIORS = ("full_play", "play", "skip", "click", "block")
EVENTS_PER_BEHAVIOR = np.array([2_000, 900, 1_100, 60, 10])
TRACKS = 100_000
EVENT_INTERVAL_S = 3_000


def write_events(folder: Path, users: int) -> Path:
    """Write `events.parquet` and `user_profiles.parquet` of `users` users, sorted as dbt's are."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    each = int(EVENTS_PER_BEHAVIOR.sum())
    count = users * each
    behavior = np.concatenate(
        [random.permutation(np.repeat(np.arange(len(EVENTS_PER_BEHAVIOR)), EVENTS_PER_BEHAVIOR)) for _ in range(users)]
    )
    second = (np.arange(count) % each - each) * EVENT_INTERVAL_S + random.integers(0, EVENT_INTERVAL_S, count)
    at = np.datetime64(AS_OF, "us") + second.astype("timedelta64[s]")
    ids = random.bytes(16 * count).hex()
    track = pa.array([f"{track}" for track in random.integers(0, TRACKS, count)])
    ratio = np.where(behavior < 3, random.random(count, dtype=np.float32), np.nan)
    table = pa.table(
        {
            "event_id": [ids[start : start + 32] for start in range(0, 32 * count, 32)],
            "user_id": np.repeat(np.array([f"u{user:06d}" for user in range(users)], dtype=object), each),
            "sequence_number": np.arange(count),
            "known_at": at,
            "occurred_at": at - np.timedelta64(180, "s"),
            "ended_at": at,
            "behavior": np.array(BEHAVIORS, dtype=object)[behavior],
            "target_type": pa.array(["track"] * count),
            "target_id": track,
            "track_id": track,
            "played_ratio": pa.array(ratio, from_pandas=True),
            "scene": pa.array(["daily"] * count),
        }
    )
    pq.write_table(table, folder / "events.parquet")
    totals = ("plays_total", "listens_total", "full_plays_total", "skips_total", "tracks_total", "artists_total")
    profiles = {
        "user_id": [f"u{user:06d}" for user in range(users)],
        "known_at": pa.array([datetime(2026, 5, 31)] * users, pa.timestamp("us")),
        **{name: [4_000] * users for name in totals},
    }
    pq.write_table(pa.table(profiles), folder / "user_profiles.parquet")
    return folder / "events.parquet"


def build_segue_store(folder: Path, online_store: dict[str, Any]) -> feast.FeatureStore:
    """Return a store with the sequence views and the profile over the event table of `folder`."""
    return feature_store(folder, SEQUENCE_VIEWS, online_store)


def build_feast_store(folder: Path, events: Path, online_store: dict[str, Any]) -> feast.FeatureStore:
    """Return a store with the same views as plain Feast has them, exact to the event: one table of lists per view.

    It has one row per event of the last day, which is what a daily `materialize` must read; rows of earlier days would
    slow Feast down.
    """
    folder.mkdir()
    views = [_list_feature_view(folder, events, name) for name in SEQUENCE_VIEWS]
    profile = FeatureView(
        name="user_profile",
        entities=[USER],
        schema=[Field(name="user_id", dtype=String), Field(name="plays_total", dtype=Int64)],
        source=_file_source("user_profile", events.parent / "user_profiles.parquet"),
    )
    config = RepoConfig(
        project="peer",
        provider="local",
        registry=str(folder / "registry.db"),
        online_store=online_store,
        offline_store={"type": "duckdb"},
        materialization={"pull_latest_features": True},
        entity_key_serialization_version=3,
    )
    store = feast.FeatureStore(config=config)
    store.apply([USER, *views, profile])
    return store


def _list_feature_view(folder: Path, events: Path, name: str) -> FeatureView:
    view = SEQUENCE_VIEWS[name]
    reader = ListReader.from_file(str(events), view, view.attribute_names)
    day = pq.read_table(events, columns=["user_id", "known_at"], filters=[("known_at", ">=", DAY_BEFORE)])
    times = np.asarray(day["known_at"].cast(pa.int64())) + 1
    lists = reader.read(day["user_id"].to_pylist(), times)
    table = pa.table([day["user_id"], day["known_at"], *lists], names=["user_id", "known_at", *view.attribute_names])
    pq.write_table(table, folder / f"{name}.parquet")
    return FeatureView(
        name=name,
        entities=[USER],
        schema=[
            Field(name="user_id", dtype=String),
            *(Field(name=attribute, dtype=KIND[ATTRIBUTES[attribute].kind]) for attribute in view.attribute_names),
        ],
        source=_file_source(name, folder / f"{name}.parquet"),
    )


def _file_source(name: str, path: Path) -> FileSource:
    return FileSource(name=f"{name}_lists", path=str(path), file_format=ParquetFormat(), timestamp_field="known_at")
