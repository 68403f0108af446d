"""Conformance of retrieval with Feast, beyond the random rows of `test_feast_universal_cases.py`.

Each case names the test of Feast's universal suite (`sdk/python/tests/universal/offline_store/`) or the behavior of Feast's
own stores that it corresponds to. `tests/integration/sequences/offline/test_spark_store.py` runs the same cases on
Spark, and `test_time_zones.py` beside it runs this module in other time zones of the process.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Field
from feast.types import Array, Bool, FeastType, Float32, Int32, Int64, String, UnixTimestamp

from tests.support.sequences.driver_stats import DriverStatsCases, moment, plays, rows_of, stats
from tests.support.sequences.event_rows import event_rows, write_events
from tests.support.sequences.feast_stores import DUCKDB

KEYS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "int": (pa.int64(), [1, 2]),
    "float": (pa.float64(), [1.0, 2.0]),
    "decimal": (pa.decimal128(10, 2), [Decimal(1), Decimal(2)]),
    "string": (pa.string(), ["1", "2"]),
}


VALUES = [  # driver, known at this hour, created at this hour; the feature is the place in this list
    (1, 1, 1),
    (1, 2, 2.1),
    (1, 2, 2.2),  # the same time, corrected later
    (1, 3, 9),  # known at 3, but created at 9
    (2, 1.5, 1.5),
]
FOREVER, ONE_HOUR = timedelta(0), timedelta(hours=1)
SHORTLY = 1 / 3_600_000_000
"""A microsecond in hours."""

JOINS = {
    "before the first value": ([(1, 1 - SHORTLY)], FOREVER, [None]),
    "at the very moment": ([(1, 1)], FOREVER, [0]),
    "of equal timestamps the one created last": ([(1, 2), (1, 2.5)], FOREVER, [2, 2]),
    "missing entity": ([(3, 5), (1, 5)], FOREVER, [None, 3]),
    "null entity": ([(None, 5), (2, 5)], FOREVER, [None, 4]),
    "rows out of order and twice": ([(1, 3), (2, 3), (1, 1), (1, 3)], FOREVER, [3, 4, 0, 3]),
    "time to live, its last moment": ([(2, 2.5)], ONE_HOUR, [4]),
    "time to live over": ([(2, 2.5 + SHORTLY)], ONE_HOUR, [None]),
    "time to live of days and seconds": ([(2, 26.5)], timedelta(days=1, hours=1), [4]),
    "an expired newest does not reveal an older": ([(1, 4.5)], ONE_HOUR, [None]),
    "no rows": ([], FOREVER, []),
}


class RetrievalCases(DriverStatsCases):
    """The cases; a subclass selects the engine."""

    @pytest.mark.parametrize("name", JOINS)
    def test_point_in_time_join(self, folder: Path, name: str) -> None:
        """Feast's semantics of an ordinary view, case by case."""
        queries, time_to_live, expected = JOINS[name]
        created = pa.array([moment(hour) for *_, hour in VALUES], pa.timestamp("us", "UTC"))
        table = stats([hour for _, hour, _ in VALUES], pa.array([driver for driver, *_ in VALUES]), created=created)
        store = self.open_store(folder, table, time_to_live=time_to_live, created_timestamp_column="created")
        times = pd.to_datetime([moment(hour) for _, hour in queries], utc=True)
        rows = pd.DataFrame({"driver_id": [driver for driver, _ in queries], "event_timestamp": times})
        assert self.trips(store, rows) == expected

    # Columns and types of the source

    @pytest.mark.parametrize("by_created", [False, True])
    def test_field_mapping_of_both_timestamps(self, folder: Path, by_created: bool) -> None:
        """`FileDataSourceCreator` maps `ts_1` to the timestamp in every test of `test_universal_historical_retrieval.py`."""
        created = pa.array([moment(hour) for hour in (1, 9, 5)], pa.timestamp("us", "UTC"))
        store = self.open_store(
            folder,
            stats([1, 3, 5], time="ts_1", created_1=created),
            created_timestamp_column="created",
            field_mapping={"ts_1": "event_timestamp", "created_1": "created"},
        )
        answer = self.trips(store, rows_of(1, 0, 2, 4, 6), filter_by_created_timestamp=by_created)
        assert answer == ([None, 0, 0, 2] if by_created else [None, 0, 1, 2])

    def test_field_mapping_of_the_join_key(self, folder: Path) -> None:
        """`test_historical_features_field_mapping`; a mapped column that the file lacks is ignored, as Feast's store does."""
        table = stats([1, 3]).rename_columns(["id", "event_timestamp", "trips"])
        store = self.open_store(folder, table, field_mapping={"id": "driver_id", "absent": "trips"})
        assert self.trips(store, rows_of(1, 2, 4)) == [0, 1]

    @pytest.mark.parametrize("by_created", [False, True])
    @pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=8))], ids=["UTC", "Shanghai"])
    def test_times_with_a_time_zone_do_not_reveal_the_future(
        self, folder: Path, zone: timezone, by_created: bool
    ) -> None:
        """`test_historical_features_main`: an instant is the same in any zone; here half an hour apart from a row."""
        table = stats([1, 3, 5])
        store = self.open_store(folder, table.append_column("created", table[1]), created_timestamp_column="created")
        rows = rows_of(1, 0.5, 2.5, 4.5)
        rows["event_timestamp"] = rows["event_timestamp"].dt.tz_convert(zone)
        assert self.trips(store, rows, filter_by_created_timestamp=by_created) == [None, 0, 1]

    def test_text_times_with_and_without_offset(self, folder: Path) -> None:
        """Feast's stores cast the timestamp column to a timestamp in UTC."""
        texts = pa.array(["2024-01-01 09:00:00+08", "2024-01-01 03:00:00"])
        store = self.open_store(folder, stats([0, 0]).set_column(1, "event_timestamp", texts))
        assert self.trips(store, rows_of(1, 0.5, 2, 4)) == [None, 0, 1]

    def test_integer_times_are_refused(self, folder: Path) -> None:
        """Feast's stores fail in the join; seconds, milliseconds and microseconds cannot be distinguished."""
        store = self.open_store(
            folder, stats([0]).set_column(1, "event_timestamp", pa.array([1_704_067_200], pa.int64()))
        )
        with pytest.raises(ValueError, match=r"'event_timestamp' of .*stats.parquet is (BIGINT|bigint)"):
            self.trips(store, rows_of(1, 1))
        for number in (1_704_067_200, 1_704_067_200.5):
            with pytest.raises(ValueError, match=r"unit='s'"):
                self.trips(store, pd.DataFrame({"driver_id": [1], "event_timestamp": [number]}))

    @pytest.mark.parametrize("source", KEYS)
    def test_keys_of_different_types_are_equal(self, folder: Path, source: str) -> None:
        """`test_universal_types.py`, for join keys: pandas makes floats of integers when one is missing."""
        kind, ids = KEYS[source]
        store = self.open_store(folder, stats([1, 3], pa.array(ids, kind)))
        for given in ([1, 2], [1.0, 2.0, None], ["1", "2"], [Decimal(1), Decimal("2.00")]):
            rows = pd.DataFrame({"driver_id": given, "event_timestamp": [moment(9)] * len(given)})
            assert self.trips(store, rows) == [0, 1, None][: len(given)], given

    def test_float_user_ids_of_a_sequence(self, folder: Path) -> None:
        """As above; large ids must not be written as 1e+10."""
        write_events(folder / "events.parquet", plays("1", "12345678901"))
        rows = pd.DataFrame({"user_id": [12345678901.0, None, 1.0], "event_timestamp": [moment(9)] * 3})
        answer = self.open_store(folder).get_historical_features(rows, ["recent_events:event_id"]).to_arrow()
        assert answer["event_id"].to_pylist() == [["123456789010", "123456789011"], [], ["10", "11"]]

    # Entity rows

    def test_a_row_without_a_time_has_null_features(self, folder: Path) -> None:
        """Feast's DuckDB store: no feature row satisfies the join."""
        rows = pd.DataFrame({"driver_id": [1] * 4, "user_id": ["1"] * 4})
        rows["event_timestamp"] = pd.to_datetime([moment(9), None, moment(2), pd.NaT], utc=True)
        store = self.open_store(folder)
        answer = store.get_historical_features(rows, ["driver_stats:trips", "recent_events:event_id"]).to_arrow()
        assert answer["trips"].to_pylist() == [2, None, 0, None]
        assert answer["event_id"].to_pylist() == [["10", "11"], None, ["10"], None]
        assert answer["event_timestamp"].null_count == 2

    def test_rows_without_any_time(self, folder: Path) -> None:
        rows = pd.DataFrame({"driver_id": [1], "event_timestamp": [None]})
        assert self.trips(self.open_store(folder), rows) == [None]

    def test_an_entity_column_with_the_name_of_a_feature_is_refused(self, folder: Path) -> None:
        """Feast's DuckDB store fails with a duplicate column; full names tell the columns apart."""
        store, rows = self.open_store(folder), rows_of(1, 2).assign(trips=7)
        with pytest.raises(ValueError, match=r"columns \['trips'\].*full_feature_names=True"):
            self.trips(store, rows)
        answer = store.get_historical_features(rows, ["driver_stats:trips"], full_feature_names=True).to_arrow()
        assert (answer["trips"].to_pylist(), answer["driver_stats__trips"].to_pylist()) == ([7], [0])

    # A time range instead of entity rows

    def test_time_range_of_an_ordinary_view(self, folder: Path) -> None:
        """`test_non_entity_mode.py::test_non_entity_mode_basic`: every entity of the range, as of its end."""
        store = self.open_store(folder, stats([1, 3, 5, 1], pa.array([1, 1, 2, 3])))
        answer = store.get_historical_features(
            None, ["driver_stats:trips"], start_date=moment(2), end_date=moment(5).replace(tzinfo=None)
        ).to_arrow()
        assert answer["driver_id"].to_pylist() == [1, 2]
        assert answer["trips"].to_pylist() == [1, 2]
        assert {time.astimezone(UTC) for time in answer["event_timestamp"].to_pylist()} == {moment(5)}

    def test_time_range_of_views_with_different_keys(self, folder: Path) -> None:
        """`test_non_entity_mode.py::test_non_entity_mode_multiple_fvs`: the rows of Feast's Spark store."""
        write_events(folder / "events.parquet", plays("1", "2"))
        job = self.open_store(folder).get_historical_features(
            None,
            ["driver_stats:trips", "recent_events:event_id", "user_profile:plays_total"],
            start_date=moment(0),
            end_date=moment(2),
        )
        answer = [
            (row["driver_id"], row["user_id"], row["trips"], row["event_id"]) for row in job.to_arrow().to_pylist()
        ]
        assert sorted(answer, key=str) == [(1, None, 0, []), (None, "1", None, ["10"]), (None, "2", None, ["20"])]

    def test_time_range_of_a_sequence_contains_the_users_with_events(self, folder: Path) -> None:
        """A user whose events are all older is left out; with a time range, a sequence is read at its end."""
        events = event_rows(
            [
                {"event_id": "early", "user_id": "1", "second": 60, "sequence_number": 0},
                {"event_id": "like", "user_id": "2", "second": 7000, "sequence_number": 0, "behavior": "like"},
                {"event_id": "play", "user_id": "3", "second": 7000, "sequence_number": 0},
                {"event_id": "at_end", "user_id": "4", "second": 7200, "sequence_number": 0},
            ]
        )
        write_events(folder / "events.parquet", events)
        answer = self.open_store(folder).get_historical_features(
            None, ["played_history:event_id"], start_date=moment(1), end_date=moment(2)
        )
        table = answer.to_arrow()
        assert dict(zip(table["user_id"].to_pylist(), table["event_id"].to_pylist(), strict=True)) == {"3": ["play"]}

    def test_time_range_without_a_start(self, folder: Path) -> None:
        """`utils.compute_non_entity_date_range`: 30 days before the end if no view has a time to live."""
        store = self.open_store(folder, stats([1, 24 * 40], pa.array([1, 2])))
        answer = store.get_historical_features(None, ["driver_stats:trips"], end_date=moment(24 * 41)).to_arrow()
        assert answer["driver_id"].to_pylist() == [2]

    # Paths of sources

    @pytest.mark.parametrize("path", ["file://{folder}/stats.parquet", "stats.parquet", "{folder}/parts"])
    def test_paths_of_a_source(self, folder: Path, path: str) -> None:
        """A `file://` URI, a path relative to the repository, a folder: joined, materialized and pulled."""
        (folder / "parts").mkdir()
        for hour in (1, 3, 5):
            part = stats([hour])
            trips = pa.array([(hour - 1) // 2], pa.int64())
            pq.write_table(part.set_column(2, "trips", trips), folder / "parts" / f"{hour}.parquet")
        store = self.open_store(folder, path=path.format(folder=folder))
        assert self.trips(store, rows_of(1, 2, 4)) == [0, 1]
        store.materialize(moment(0), moment(4), feature_views=["driver_stats"])
        assert store.get_online_features(["driver_stats:trips"], [{"driver_id": 1}]).to_dict()["trips"] == [1]


TYPES: dict[str, tuple[FeastType, pa.DataType, list[Any]]] = {
    "int32": (Int32, pa.int32(), [1, None, -3]),
    "int64": (Int64, pa.int64(), [2**40, None, -1]),
    "float": (Float32, pa.float32(), [0.5, None, -0.25]),
    "bool": (Bool, pa.bool_(), [True, None, False]),
    "string": (String, pa.string(), ["a", None, ""]),
    "datetime": (UnixTimestamp, pa.timestamp("us", "UTC"), [datetime(2020, 1, 2, 3, tzinfo=UTC), None, moment(0)]),
    "int64_list": (Array(Int64), pa.list_(pa.int64()), [[1, 2], None, []]),
    "float_list": (Array(Float32), pa.list_(pa.float32()), [[0.5], None, []]),
    "string_list": (Array(String), pa.list_(pa.string()), [["a", ""], None, []]),
    "bool_list": (Array(Bool), pa.list_(pa.bool_()), [[True], None, []]),
}


class TestDuckDB(RetrievalCases):
    """The cases on DuckDB."""

    engine = DUCKDB

    @pytest.mark.parametrize("kind", TYPES)
    @pytest.mark.parametrize("key", [pa.int64(), pa.string()], ids=str)
    def test_feature_get_historical_features_types_match(self, folder: Path, kind: str, key: pa.DataType) -> None:
        """From `registration/test_universal_types.py`: every value type, with keys of both types; null stays null."""
        feast_type, arrow, values = TYPES[kind]
        table = stats([1, 1, 1], pa.array([1, 2, 3]).cast(key), value=pa.array(values, arrow))
        store = self.open_store(folder, table, field=Field(name="value", dtype=feast_type))
        rows = rows_of(table["driver_id"].to_pylist()[::-1], 1, 1, 1)
        got = store.get_historical_features(rows, ["driver_stats:value"]).to_arrow()["value"]
        if kind == "datetime":
            got = got.cast(arrow)  # naive UTC, as DuckDB returns times
        assert got.type == arrow
        assert got.to_pylist() == values[::-1]

    def test_times_of_a_query_are_utc(self, folder: Path) -> None:
        """`test_historical_features_with_entities_from_query`: times without offset in SQL."""
        store = self.open_store(folder)
        pq.write_table(pa.table({"time": pa.array([moment(2.5)], pa.timestamp("us", "UTC"))}), folder / "rows.parquet")
        for time in ("time::timestamp", "timestamptz '2024-01-01 02:30:00'", "timestamp '2024-01-01 02:30:00'"):
            query = f"select 1 as driver_id, {time} as event_timestamp from '{folder / 'rows.parquet'}'"
            assert self.trips(store, query) == [0]
