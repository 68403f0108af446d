"""The Spark offline store: the conformance cases, equality with DuckDB's element by element, and materialization into Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import feast
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sequences.online.reader import OnlineReader
from sequences.sequence_views import SEQUENCE_VIEWS
from tests.contract.sequences.test_feast_retrieval import RetrievalCases
from tests.contract.sequences.test_feast_universal_cases import (  # noqa: F401
    test_historical_features_main,
    test_historical_features_main_entity_mapping,
)
from tests.contract.sequences.test_feast_writing import WritingCases
from tests.support import spark, valkey
from tests.support.sequences.driver_stats import moment, rows_of
from tests.support.sequences.event_rows import EPOCH, at, event_rows, write_events
from tests.support.sequences.feast_stores import DUCKDB, SPARK, feature_store, sqlite_online_store
from tests.support.sequences.universal_views import open_world

pytestmark = [spark.needs_spark]

USERS = [f"u{n}" for n in range(12)]
BEHAVIORS = ("full_play", "play", "skip", "click", "like", "dislike", "block", "impression_without_click")
FEATURES = [f"{view.name}:{name}" for view in SEQUENCE_VIEWS.values() for name in view.attribute_names]


@pytest.fixture(scope="module", autouse=True)
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with spark.session(tmp_path_factory.mktemp("spark")) as opened:
        yield opened


def history() -> list[dict[str, Any]]:
    """1,500 events of few users with ties, unknown ratios and scenes, several target types; longer than the views."""
    random = np.random.default_rng(5)
    events = []
    for n in range(1_500):
        is_track = random.random() < 0.8
        events.append(
            {
                "event_id": f"e{n:04d}",
                "user_id": USERS[int(random.integers(0, len(USERS) - 1))],
                "second": int(random.integers(0, 400)) * 60,
                "sequence_number": int(random.integers(0, 3)),
                "behavior": str(random.choice(BEHAVIORS)),
                "target_type": "track" if is_track else "artist",
                "target_id": f"t{random.integers(0, 50)}",
                "played_ratio": float(np.float32(random.random())) if random.random() < 0.7 else None,
                "scene": "daily" if random.random() < 0.5 else None,
            }
        )
    return event_rows(events)


def profiles() -> pa.Table:
    rows = [
        {"user_id": user, "known_at": EPOCH + timedelta(hours=hours), "plays_total": 10 * hours + number}
        for number, user in enumerate(USERS[:9])
        for hours in range(0, 7, 2)
    ]
    return pa.Table.from_pylist(
        rows, pa.schema([("user_id", pa.string()), ("known_at", pa.timestamp("us")), ("plays_total", pa.int64())])
    )


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, feast.FeatureStore]:
    """The same views over the same files, on both engines."""
    folder = tmp_path_factory.mktemp("features")
    pq.write_table(profiles(), folder / "user_profiles.parquet")
    write_events(folder / "events.parquet", history())
    online = sqlite_online_store(folder)
    return {
        "duckdb": feature_store(folder, SEQUENCE_VIEWS, online),
        "spark": feature_store(folder, SEQUENCE_VIEWS, online, engine=SPARK),
    }


def query_frame() -> pd.DataFrame:
    """Entity rows at, just before and just after events, of known and unknown users, unsorted and with duplicates."""
    moments = [at(60 * n) + timedelta(microseconds=shift) for n in (0, 3, 200, 399, 800) for shift in (-1, 0, 1)]
    rows = [(user, moment) for user in (*USERS, "unknown_user", None) for moment in moments]
    order = np.random.default_rng(6).permutation(len(rows))
    rows = [rows[place] for place in order] + rows[:3]
    return pd.DataFrame(
        {
            "user_id": [user for user, _ in rows],
            "event_timestamp": pd.to_datetime([moment for _, moment in rows], utc=True),
            "kept": range(len(rows)),
        }
    )


def plain_rows(table: pa.Table) -> list[str]:
    """Rows as text, so that NaN equals NaN."""
    times = [name for name in table.column_names if pa.types.is_timestamp(table.schema.field(name).type)]
    for name in times:
        moments = table[name].cast(pa.timestamp("us")).cast(pa.int64())
        table = table.set_column(table.column_names.index(name), name, moments)
    return [repr(row) for row in table.to_pylist()]


def test_sequences_and_ordinary_views_equal_duckdbs(stores: Any) -> None:
    features = [*FEATURES, "user_profile:plays_total"]
    results = {
        engine: store.get_historical_features(query_frame(), features, full_feature_names=True).to_arrow()
        for engine, store in stores.items()
    }
    assert results["spark"].column_names == results["duckdb"].column_names
    assert plain_rows(results["spark"]) == plain_rows(results["duckdb"])
    longest = max(len(one) for one in results["spark"]["recent_events__event_id"].to_pylist())
    assert longest == SEQUENCE_VIEWS["recent_events"].length
    assert results["spark"]["user_profile__plays_total"].null_count > 10
    for name in results["duckdb"].column_names[3:]:
        assert results["spark"][name].cast(results["duckdb"][name].type).type == results["duckdb"][name].type


def test_spark_materializes_the_same_as_duckdb_into_redis(tmp_path: Path) -> None:
    pq.write_table(profiles(), tmp_path / "user_profiles.parquet")
    write_events(tmp_path / "events.parquet", history())
    began, ended = datetime(2023, 1, 1, tzinfo=UTC), at(60 * 300).replace(tzinfo=UTC)
    names = [*SEQUENCE_VIEWS, "user_profile"]
    read: dict[str, list[str]] = {}
    for engine, config in (("duckdb", DUCKDB | {"materialization": {"pull_latest_features": True}}), ("spark", SPARK)):
        with valkey.running() as server:
            store = feature_store(tmp_path, SEQUENCE_VIEWS, valkey.online_store(server), engine=config)
            store.materialize(began, ended, feature_views=names)
            reader = OnlineReader(store)
            read[engine] = [
                repr(
                    {
                        view: {name: list(one) for name, one in of.items()}
                        for view, of in reader.read(user).views.items()
                    }
                )
                for user in (*USERS, "unknown_user")
            ]
    assert read["spark"] == read["duckdb"]
    assert "e0" in read["spark"][0]


@pytest.fixture(scope="module")
def universal(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_world(tmp_path_factory.mktemp("universal"), SPARK)


class TestSpark(RetrievalCases, WritingCases):
    """The conformance cases of the offline store on Spark, in a session with another time zone."""

    engine = SPARK

    @pytest.fixture(autouse=True)
    def _time_zone(self, session: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Everything runs in Los Angeles: a session that a user has opened has the time zone of the process."""
        before = session.conf.get("spark.sql.session.timeZone")
        monkeypatch.setenv("TZ", "America/Los_Angeles")
        time.tzset()
        session.conf.set("spark.sql.session.timeZone", "America/Los_Angeles")
        yield
        monkeypatch.undo()
        time.tzset()
        session.conf.set("spark.sql.session.timeZone", before)

    @pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai"])
    def test_other_time_zones_of_the_session(self, folder: Path, session: Any, zone: str) -> None:
        session.conf.set("spark.sql.session.timeZone", zone)
        assert self.trips(self.open_store(folder), rows_of(1, 0.5, 2.5, 4.5)) == [None, 0, 1]

    def test_rows_of_a_spark_frame(self, folder: Path, session: Any) -> None:
        """As for a data frame of pandas: null times, float keys, numbers as times, names of features."""
        store = self.open_store(folder)
        rows = pd.DataFrame({"driver_id": [1.0, 1.0, None], "event_timestamp": [moment(2), None, moment(2)]})
        rows["event_timestamp"] = pd.to_datetime(rows["event_timestamp"], utc=True)
        assert sorted(self.trips(store, session.createDataFrame(rows)), key=str) == [0, None, None]
        for column, match in (("cast(1 as bigint) as event_timestamp", "convert it"), ("1 as trips", "'trips'")):
            time_column = "" if "event_timestamp" in column else ", timestamp '2024-01-01' as event_timestamp"
            with pytest.raises(ValueError, match=match):
                self.trips(store, f"select 1 as driver_id, {column}{time_column}")
