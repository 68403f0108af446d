"""Point-in-time join of ordinary views: Feast's semantics case by case."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import Int64, String

from sequences.views import SEQUENCE_VIEWS
from tests.support.sequences.event_rows import at, event_rows, write_events
from tests.support.sequences.feast_stores import DUCKDB, feature_store, sqlite_online_store

# artist, known at second, created at second, value
ROWS = [
    ("a", 100, 100, 1),
    ("a", 200, 205, 2),
    ("a", 200, 210, 3),  # same time, corrected later
    ("a", 300, 900, 4),  # known at 300, but created at 900
    ("b", 150, 150, 5),
]


def store_with(folder: Path, ttl: timedelta, created: bool = True, engine: dict[str, Any] = DUCKDB) -> Any:
    write_events(
        folder / "events.parquet", event_rows([{"event_id": "e", "user_id": "u", "second": 0, "sequence_number": 0}])
    )
    path = folder / "values.parquet"
    pq.write_table(
        pa.table(
            {
                "artist_id": [r[0] for r in ROWS],
                "known_at": pa.array([at(r[1]) for r in ROWS], pa.timestamp("us")),
                "created_at": pa.array([at(r[2]) for r in ROWS], pa.timestamp("us")),
                "source_value": [r[3] for r in ROWS],
            }
        ),
        path,
    )
    artist = Entity(name="artist", join_keys=["artist_id"], value_type=ValueType.STRING)
    view = FeatureView(
        name="values",
        entities=[artist],
        schema=[Field(name="artist_id", dtype=String), Field(name="value", dtype=Int64)],
        source=FileSource(
            name="values_source",
            path=str(path),
            file_format=ParquetFormat(),
            timestamp_field="known_at",
            created_timestamp_column="created_at" if created else "",
            field_mapping={"source_value": "value"},
        ),
        ttl=ttl,
    )
    return feature_store(folder, SEQUENCE_VIEWS, sqlite_online_store(folder), [artist, view], engine)


def frame(*queries: tuple[Any, float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "artist_id": [artist for artist, _ in queries],
            "event_timestamp": pd.to_datetime([at(second) for _, second in queries], utc=True),
        }
    )


def values(store: Any, *queries: tuple[Any, float], **options: Any) -> list[int | None]:
    table = store.get_historical_features(frame(*queries), ["values:value"], **options).to_arrow()
    return [value if value is None else int(value) for value in table["value"].to_pylist()]


FOREVER = timedelta(0)
CASES = {
    "before the first value": ([("a", 99.9)], FOREVER, [None]),
    "at the very moment": ([("a", 100)], FOREVER, [1]),
    "of equal timestamps the one created last": ([("a", 200), ("a", 250)], FOREVER, [3, 3]),
    "missing entity": ([("unknown_user", 500), ("a", 500)], FOREVER, [None, 4]),
    "null entity": ([(None, 500), ("b", 500)], FOREVER, [None, 5]),
    "rows out of order and twice": ([("a", 300), ("b", 300), ("a", 100), ("a", 300)], FOREVER, [4, 5, 1, 4]),
    "time to live, its last moment": ([("b", 210)], timedelta(seconds=60), [5]),
    "time to live over": ([("b", 210.000001)], timedelta(seconds=60), [None]),
    "time to live of days and seconds": ([("b", 150 + 86_405)], timedelta(days=1, seconds=5), [5]),
    "an expired newest does not reveal an older": ([("a", 400)], timedelta(seconds=60), [None]),
}


class PointInTimeCases:
    """The cases; a subclass selects the engine."""

    engine: dict[str, Any]

    @pytest.mark.parametrize("name", CASES)
    def test_ordinary_view(self, tmp_path: Path, name: str) -> None:
        queries, ttl, expected = CASES[name]
        assert values(store_with(tmp_path, ttl, engine=self.engine), *queries) == expected

    def test_filter_by_created_timestamp_hides_later_rows(self, tmp_path: Path) -> None:
        queries = [("a", 206), ("a", 250), ("a", 500), ("a", 901)]
        store = store_with(tmp_path, FOREVER, engine=self.engine)
        assert values(store, *queries, filter_by_created_timestamp=True) == [2, 3, 3, 4]

    def test_sequences_and_ordinary_views_in_one_call_with_full_names(self, tmp_path: Path) -> None:
        store = store_with(tmp_path, FOREVER, engine=self.engine)
        queries = frame(("a", 300), ("b", 10)).assign(user_id=["u", "unknown_user"], kept=[1, 2])
        job = store.get_historical_features(
            queries, ["recent_events:event_id", "values:value", "played_history:event_id"], full_feature_names=True
        )
        table = job.to_arrow()
        assert table.column_names[:4] == ["artist_id", "event_timestamp", "user_id", "kept"]
        assert table["recent_events__event_id"].to_pylist() == [["e"], []]
        assert table["played_history__event_id"].to_pylist() == [["e"], []]
        assert table["values__value"].to_pylist() == [4, None]
        assert len(job.to_df()) == 2

    def test_no_entity_rows_give_no_rows(self, tmp_path: Path) -> None:
        store = store_with(tmp_path, FOREVER, engine=self.engine)
        assert store.get_historical_features(frame(("a", 1)).iloc[:0], ["values:value"]).to_arrow().num_rows == 0


class TestDuckDB(PointInTimeCases):
    """The cases on DuckDB."""

    engine = DUCKDB
