"""Validation engine for one machine: DuckDB computes metrics over all rows, pandas holds the validated rows.

Queries are written once; an engine supplies the few expressions in which the dialects of DuckDB and Spark differ.
`quality.validate.create_engine` creates the one that the settings choose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from config import settings
from storage import object_store

MAX_ROWS = 200_000
"""Maximum number of rows of a table that Great Expectations validates; table metrics are computed over all rows."""


class DuckDBEngine:
    """DuckDB with pandas, with a memory limit of 1 GB.

    Args:
        tables: Root folder of the tables, which may be on object storage; None for the local disk.
    """

    def __init__(self, tables: Path | None = None) -> None:
        # By default DuckDB would spill into the current working directory.
        spill = settings.load_settings().home / "quality.spill"
        config = {"threads": 2, "memory_limit": "1GB", "temp_directory": str(spill)}
        self._connection = object_store.connect_duckdb(tables or Path(), config=config)
        self._views = 0

    def parquet_relation(self, paths: Sequence[str]) -> str:
        """SQL relation over Parquet files or globs, columns matched by name."""
        return "read_parquet([{}], union_by_name = true)".format(", ".join(f"'{path}'" for path in paths))

    def select_rows(self, source: str, columns: set[str], condition: str) -> str:
        """SQL relation of the rows of a relation that meet a condition, with at least the `columns` that exist.

        It is a temporary table, because several queries read it.
        """
        self._views += 1
        name, wanted = f"quality_{self._views}", ", ".join(f"'{column}'" for column in sorted(columns))
        self._connection.execute(
            f"create temporary table {name} as select columns(lambda name: name in [{wanted}]) from {source} where {condition}"  # noqa: S608
        )
        return name

    def epoch_micros(self, column: str) -> str:
        """SQL expression of a timestamp, with or without time zone, as microseconds since 1970 UTC."""
        return f"epoch_us({column})"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a query result."""
        return self._connection.execute(query).fetchall()

    def newest_rows(
        self, source: str, columns: set[str], newest: str | None, metrics: Mapping[str, float | None]
    ) -> pd.DataFrame:
        """Data frame with at most `MAX_ROWS` rows, those with the largest values of column `newest`.

        It has the `columns` that exist in the relation, and each table metric as a constant column `table_<name>`.
        """
        present = [row[0] for row in self._connection.execute(f"describe select * from {source}").fetchall()]  # noqa: S608
        # Without a required column, read the first one, so that the number of rows is right.
        selected = [f'"{name}"' for name in present if name in columns] or [f'"{present[0]}"']
        order = f"order by {newest} desc" if newest in present else ""
        query = f"select {', '.join(selected)} from {source} {order} limit {MAX_ROWS}"  # noqa: S608
        frame = self._connection.execute(query).df()
        for name, value in metrics.items():
            frame[f"table_{name}"] = pd.Series(value, index=frame.index, dtype="float64")
        return frame

    def data_source(self, context: Any) -> Any:
        """Data source of a Great Expectations context that accepts the data frames of `newest_rows`."""
        return context.data_sources.add_pandas("segue")

    def close(self) -> None:
        """Release connections and sessions."""
        self._connection.close()
