"""The rows that are validated: the newest of a table, and only the columns that some expectation names.

Knows nothing about expectations. Reads Parquet through DuckDB, so memory is bounded by `MAX_ROWS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd

MAX_ROWS = 200_000


class TableError(ValueError):
    """A table to validate is not there; the message names the file and the remedy."""


@dataclass(frozen=True)
class Table:
    """One table as SQL: `source` is a relation, `newest` the column whose largest values are the newest rows."""

    name: str
    source: str
    newest: str | None = None

    def rows(self, connection: duckdb.DuckDBPyConnection, columns: set[str]) -> pd.DataFrame:
        """At most `MAX_ROWS` newest rows with those of the `columns` that the table has."""
        present = [row[0] for row in connection.execute(f"describe select * from {self.source}").fetchall()]  # noqa: S608
        # A table none of whose columns is needed still has a number of rows.
        wanted = [f'"{name}"' for name in present if name in columns] or [f'"{present[0]}"']
        order = f"order by {self.newest} desc" if self.newest in present else ""
        query = f"select {', '.join(wanted)} from {self.source} {order} limit {MAX_ROWS}"  # noqa: S608
        return connection.execute(query).df()


def mart(marts: Path, name: str, newest: str | None) -> Table:
    """A published mart.

    Raises:
        TableError: it has not been published.
    """
    path = marts / f"{name}.parquet"
    if not path.is_file():
        raise TableError(f"{path} is not there; run `dbt build --project-dir dbt` first")
    return Table(name, f"read_parquet('{path}')", newest)


@dataclass(frozen=True)
class LandedEvents:
    """The newest landed events: `table` is the newest partition, `week` that day and the seven before it.

    `is_historical`: the partition is a month of a historical load, which is one batch without a week before it.
    """

    table: Table
    week: Table
    is_historical: bool


def landed_events(landing: Path) -> LandedEvents:
    """The newest partition of the landed events that holds rows.

    Raises:
        TableError: nothing has been landed.
    """
    folder = landing / "listening_events"
    # A month sorts before its days: the newest partition is the last name either way.
    partitions = sorted(path for path in folder.glob("dt=*") if any(path.glob("*.parquet")))
    newest = next((path for path in reversed(partitions) if _holds_rows(path)), None)
    if newest is None:
        raise TableError(f"{folder} holds no events; run `python -m ingestion.land PATH` first")
    is_historical = len(newest.name) == len("dt=2026-06")
    days = [path for path in partitions if len(path.name) == len("dt=2026-06-30")][-8:]
    return LandedEvents(
        table=Table("listening_events", _reader([newest]), "ended_at"),
        week=Table("listening_events", _reader(days or [newest]), "ended_at"),
        is_historical=is_historical,
    )


def _holds_rows(partition: Path) -> bool:
    files = f"{partition}/*.parquet"
    found = duckdb.sql(f"select coalesce(sum(num_rows), 0) from parquet_file_metadata('{files}')").fetchone()  # noqa: S608
    return bool(found and found[0])


def _reader(partitions: list[Path]) -> str:
    files = ", ".join(f"'{path}/*.parquet'" for path in partitions)
    return f"read_parquet([{files}], union_by_name = true)"
