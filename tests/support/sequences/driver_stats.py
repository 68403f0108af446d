"""A store with the view `driver_stats` over a file that a test chooses, beside sequence views of users."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureView, Field, FileSource, PushSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import Int64, String

from sequences.sequence_views import SEQUENCE_VIEWS
from tests.support.sequences.event_rows import EPOCH, event_rows, write_events
from tests.support.sequences.feast_stores import feature_store, sqlite_online_store


def moment(hours: float) -> datetime:
    """The time `hours` hours after the start."""
    return EPOCH.replace(tzinfo=UTC) + timedelta(hours=hours)


def stats(hours: list[float], ids: pa.Array | None = None, time: str = "event_timestamp", **columns: Any) -> pa.Table:
    """Rows of driver 1: `trips` is the place of the row; times have the time zone UTC."""
    return pa.table(
        {
            "driver_id": ids if ids is not None else pa.array([1] * len(hours), pa.int64()),
            time: pa.array([moment(hour) for hour in hours], pa.timestamp("us", "UTC")),
            "trips": range(len(hours)),
            **columns,
        }
    )


def rows_of(driver_id: Any, *hours: float) -> pd.DataFrame:
    """Entity rows of a driver at these times."""
    return pd.DataFrame({"driver_id": driver_id, "event_timestamp": [moment(hour) for hour in hours]})


def plays(*users: str) -> list[dict[str, Any]]:
    """Two plays per user, in the first and the third hour; ids are the user and 0 or 1."""
    return event_rows(
        [
            {"event_id": f"{user}{n}", "user_id": user, "second": 3600 * 2 * n + 1, "sequence_number": n}
            for user in users
            for n in range(2)
        ]
    )


class DriverStatsCases:
    """Base of conformance cases; a subclass selects the engine."""

    engine: dict[str, Any]

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A folder with an event table."""
        write_events(tmp_path / "events.parquet", plays("1", "2"))
        return tmp_path

    def open_store(
        self,
        folder: Path,
        table: pa.Table | None = None,
        is_pushable: bool = False,
        time_to_live: timedelta = timedelta(0),
        field: Field | None = None,
        **source: Any,
    ) -> Any:
        """A store over a file of `table`.

        Args:
            folder: Where the files of the store are.
            table: Rows of the view; None: three rows of driver 1.
            is_pushable: Whether the view has the push source `driver_pushes`.
            time_to_live: Of the view; zero: its values never expire.
            field: The feature, if it is not `trips`.
            source: Further arguments of the `FileSource`.
        """
        table = stats([1, 3, 5]) if table is None else table
        if not (folder / "stats.parquet").exists():
            pq.write_table(table, folder / "stats.parquet")
        key = ValueType.STRING if pa.types.is_string(table.schema.field(0).type) else ValueType.INT64
        driver = Entity(name="driver", join_keys=["driver_id"], value_type=key)
        options = {
            "path": str(folder / "stats.parquet"),
            "timestamp_field": "event_timestamp",
            "file_format": ParquetFormat(),
            **source,
        }
        file = FileSource(name="stats", **options)
        view = FeatureView(
            name="driver_stats",
            entities=[driver],
            schema=[
                Field(name="driver_id", dtype=String if key == ValueType.STRING else Int64),
                field or Field(name="trips", dtype=Int64),
            ],
            source=PushSource(name="driver_pushes", batch_source=file) if is_pushable else file,
            ttl=time_to_live,
        )
        engine = self.engine | {"materialization": {"pull_latest_features": True}}
        views = {name: SEQUENCE_VIEWS[name] for name in ("recent_events", "played_history")}
        return feature_store(folder, views, sqlite_online_store(folder), [driver, view], engine)

    def trips(self, store: Any, rows: Any, **options: Any) -> list[Any]:
        """The feature `trips` of the entity rows."""
        return store.get_historical_features(rows, ["driver_stats:trips"], **options).to_arrow()["trips"].to_pylist()
