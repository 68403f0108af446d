"""Conformance of retrieval with Feast, beyond the joins of `test_feast_universal_cases.py`.

Each case names the test of Feast's universal suite (`sdk/python/tests/universal/offline_store/`) or the behavior of Feast's
own stores that it corresponds to.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.sequences.driver_stats import DriverStatsCases, moment, rows_of, stats
from tests.support.sequences.feast_stores import DUCKDB


class RetrievalCases(DriverStatsCases):
    """The cases; a subclass selects the engine."""

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


class TestDuckDB(RetrievalCases):
    """The cases on DuckDB."""

    engine = DUCKDB
