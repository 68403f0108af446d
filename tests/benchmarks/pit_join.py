"""Point-in-time sequences: our offline store beside Feast's own DuckDB store, unmodified.

Feast has no sequences, so its way is a table with one list-valued row an event; making that table is not counted. Both
answer the same rows for the same users and times, and the run checks that they agree.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.data_format import ParquetFormat
from feast.types import Array, String
from feast.value_type import ValueType

from sequences.definition import SEQUENCE_VIEWS, TAG
from tests.benchmarks.benchmark import Result, rate

USERS, TRACKS, LENGTH = 1_000, 5_000, 50
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)


def run(rows: int) -> Result:
    """Entity rows a second for `rows` entity rows over ten times as many events."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        events = _events(random, rows * 10)
        pq.write_table(pa.Table.from_pandas(events, preserve_index=False), folder / "events.parquet")
        lists = events[["user_id", "known_at"]].assign(track_id=_last(events))
        pq.write_table(pa.Table.from_pandas(lists, preserve_index=False), folder / "lists.parquet")
        asked = events.sample(rows, random_state=0)[["user_id", "known_at"]]
        # Strictly between two events, so that "before" and "up to" mean the same
        asked["event_timestamp"] = (asked.pop("known_at") + pd.Timedelta(1, "us")).dt.tz_localize("UTC")
        ours = _store(
            folder, "sequences.offline_store.SequenceOfflineStore", "events", SEQUENCE_VIEWS["recent_clicks"].to_json()
        )
        feasts = _store(folder, "duckdb", "lists", None)

        def answer(store: FeatureStore) -> pd.DataFrame:
            frame = store.get_historical_features(asked, features=["recent_clicks:track_id"]).to_df()
            return frame.sort_values(["user_id", "event_timestamp"], ignore_index=True)

        pairs = zip(answer(ours)["track_id"], answer(feasts)["track_id"], strict=True)
        assert all(list(own) == list(other) for own, other in pairs), "the two stores disagree"
        return rate(
            "pit_join",
            "entity rows/s",
            "Feast's DuckDB offline store",
            rows,
            lambda: answer(ours),
            lambda: answer(feasts),
        )


def _events(random: np.random.Generator, count: int) -> pd.DataFrame:
    """Clicks on tracks, in the columns of the event table, sorted by user and time."""
    base = np.datetime64("2026-01-01T00:00:00", "us")
    user = np.sort(random.integers(0, USERS, count))
    at = base + np.arange(count).astype("timedelta64[s]") * 2
    track = np.char.add("t", random.integers(0, TRACKS, count).astype(str)).astype(object)
    number = np.arange(count) - np.searchsorted(user, user)
    return pd.DataFrame(
        {
            "event_id": np.char.add("e", np.arange(count).astype(str)).astype(object),
            "user_id": np.char.add("u", np.char.zfill(user.astype(str), 4)).astype(object),
            "event_number": number,
            "known_at": at,
            "request_at": at - np.timedelta64(1, "us"),
            "occurred_at": at,
            "ended_at": at,
            "action": "click",
            "behaviour": "click",
            "target_type": "track",
            "target_id": track,
            "track_id": track,
            "played_ratio": pd.array([None] * count, dtype="Float64"),
            "scene": pd.array([None] * count, dtype="string"),
        }
    )


def _last(events: pd.DataFrame) -> list[list[str]]:
    tracks, numbers = events["track_id"].to_numpy(), events["event_number"].to_numpy()
    return [list(tracks[max(row - LENGTH, row - number - 1) + 1 : row + 1]) for row, number in enumerate(numbers)]


def _store(folder: Path, offline_store: str, table: str, view: str | None) -> FeatureStore:
    home = folder / table
    home.mkdir()
    config = RepoConfig(
        project="benchmark",
        provider="local",
        registry=str(home / "registry.db"),
        online_store={"type": "sqlite", "path": str(home / "online.db")},
        offline_store={"type": offline_store},
        entity_key_serialization_version=3,
    )
    source = FileSource(
        name=table,
        path=str(folder / f"{table}.parquet"),
        file_format=ParquetFormat(),
        timestamp_field="known_at",
        tags={TAG: view} if view else {},
    )
    clicks = FeatureView(
        name="recent_clicks", entities=[USER], schema=[Field(name="track_id", dtype=Array(String))], source=source
    )
    store = FeatureStore(config=config)
    store.apply([USER, clicks])
    return store


if __name__ == "__main__":
    print(datetime.now(UTC), run(2_000))
