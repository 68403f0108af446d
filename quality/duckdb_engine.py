"""Tables judged on one machine: DuckDB counts over all rows, pandas holds the ones that are validated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from config import settings
from quality.engine import MAX_ROWS
from storage import object_store


class DuckDBEngine:
    """An `Engine` whose memory is bounded; it reads what is below `tables` (None: on this machine)."""

    def __init__(self, tables: Path | None = None) -> None:
        # Without a place of its own DuckDB would spill into the folder that the command happens to run in.
        spill = settings.load_settings().home / "quality.spill"
        config = {"threads": 2, "memory_limit": "1GB", "temp_directory": str(spill)}
        self._connection = object_store.connect_duckdb(tables or Path(), config=config)

    def parquet_relation(self, paths: Sequence[str]) -> str:
        """See `Engine`."""
        return "read_parquet([{}], union_by_name = true)".format(", ".join(f"'{path}'" for path in paths))

    def micros(self, column: str) -> str:
        """See `Engine`."""
        return f"epoch_us({column})"

    def first_row(self, query: str) -> tuple[Any, ...] | None:
        """See `Engine`."""
        return self._connection.execute(query).fetchone()

    def has_rows(self, partition: Path) -> bool:
        """See `Engine`. Only the files' footers are read."""
        found = self.first_row(
            f"select coalesce(sum(num_rows), 0) from parquet_file_metadata('{partition}/*.parquet')"  # noqa: S608
        )
        return bool(found and found[0])

    def newest_rows(
        self, source: str, columns: set[str], newest: str | None, facts: Mapping[str, float | None]
    ) -> pd.DataFrame:
        """See `Engine`."""
        present = [row[0] for row in self._connection.execute(f"describe select * from {source}").fetchall()]  # noqa: S608
        # A table none of whose columns is needed still has a number of rows.
        wanted = [f'"{name}"' for name in present if name in columns] or [f'"{present[0]}"']
        order = f"order by {newest} desc" if newest in present else ""
        query = f"select {', '.join(wanted)} from {source} {order} limit {MAX_ROWS}"  # noqa: S608
        frame = self._connection.execute(query).df()
        for name, value in facts.items():
            frame[f"table_{name}"] = pd.Series(value, index=frame.index, dtype="float64")
        return frame

    def data_source(self, context: Any) -> Any:
        """See `Engine`."""
        return context.data_sources.add_pandas("segue")

    def close(self) -> None:
        """See `Engine`."""
        self._connection.close()
