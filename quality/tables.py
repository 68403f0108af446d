"""The tables to validate as relations of DuckDB: Parquet files, whichever engine built them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from pathlib import Path

from duckdb import DuckDBPyConnection, DuckDBPyRelation

from config import settings
from storage import object_store

RECENT_DAYS = 28
"""Days of a mart that are validated: those that late events change, and more than the week that drift compares."""


class TableError(ValueError):
    """A table to validate does not exist; the message names the file and the remedy."""


def connect(tables: Path | None = None) -> DuckDBPyConnection:
    """A database in memory with a limit of 1 GB, in UTC.

    Args:
        tables: Root folder of the tables, which may be on object storage; None for the local disk.
    """
    # By default DuckDB would spill into the current working directory.
    spill = settings.load_settings().home / "quality.spill"
    config = {"threads": 2, "memory_limit": "1GB", "temp_directory": str(spill)}
    connection = object_store.connect_duckdb(tables or Path(), config=config)
    connection.execute("set TimeZone = 'UTC'")
    return connection


def mart_table(connection: DuckDBPyConnection, marts: Path, name: str) -> DuckDBPyRelation:
    """A published mart.

    Raises:
        TableError: The mart has not been published.
    """
    path = marts / f"{name}.parquet"
    if not path.is_file():
        raise TableError(f"{path} does not exist; run `dbt build --project-dir dbt` first")
    return connection.read_parquet(str(path))


def recent_rows(
    connection: DuckDBPyConnection, name: str, mart: DuckDBPyRelation, columns: Collection[str], newest: str
) -> DuckDBPyRelation:
    """Those of `columns` that exist of the last `RECENT_DAYS` days of a mart, so that validation does not grow with its history.

    Older rows were validated when they were recent. It is a table, because several queries read it.

    Args:
        connection: The database.
        name: Name of the mart.
        mart: The mart.
        columns: Columns that are read.
        newest: Column with the time of a row.
    """
    selected = ", ".join(column for column in mart.columns if column in {*columns, newest})
    first = f"(select max({newest}) from mart) - interval {RECENT_DAYS} day"  # noqa: S608
    mart.query("mart", f"select {selected} from mart where {newest} >= {first}").create(f"recent_{name}")  # noqa: S608
    return connection.table(f"recent_{name}")


def find_landed_events(connection: DuckDBPyConnection, landing: Path, as_of: date) -> tuple[DuckDBPyRelation, bool]:
    """The newest partition of the landed events before `as_of` that has rows, and whether it is a month of a historical load.

    The day `as_of` may have its first events already: live events are landed shortly after midnight.

    Raises:
        TableError: No event before `as_of` has been landed.
    """
    folder = landing / "listening_events"
    # A month sorts before its days, so the last name is the newest partition in either case.
    partitions = {path.parent for path in object_store.list_files(folder, "dt=*/*.parquet")}
    for newest in sorted((path for path in partitions if path.name < f"dt={as_of}"), key=str, reverse=True):
        rows = connection.read_parquet([f"{newest}/*.parquet"], union_by_name=True)
        if rows.limit(1).fetchone():
            return rows, len(newest.name) == len("dt=2026-06")
    raise TableError(
        f"{folder} holds no events before {as_of}; run `python -m ingestion.land PATH` first, or choose a later as_of"
    )
