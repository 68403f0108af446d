"""Locates the tables to validate and exposes them as SQL relations of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from storage import object_store

if TYPE_CHECKING:
    from quality.spark_engine import Engine

RECENT_DAYS = 28
"""Days of a mart that are validated: those that late events change, and more than the week that drift compares."""


class TableError(ValueError):
    """A table to validate does not exist; the message names the file and the remedy."""


@dataclass(frozen=True)
class Table:
    """A table to validate."""

    name: str
    source: str  # SQL relation
    newest: str | None = None  # column whose largest values mark the newest rows; None: no order


def mart_table(engine: Engine, marts: Path, name: str, newest: str | None) -> Table:
    """Return a published mart.

    Raises:
        TableError: The mart has not been published.
    """
    path = marts / f"{name}.parquet"
    if not path.is_file():
        raise TableError(f"{path} does not exist; run `dbt build --project-dir dbt` first")
    return Table(name, engine.parquet_relation([str(path)]), newest)


def recent_rows(engine: Engine, table: Table, columns: set[str]) -> Table:
    """Return `columns` of the last `RECENT_DAYS` days of a table, so that validation does not grow with its history.

    Older rows were validated when they were recent. A table without time is returned as it is.
    """
    if table.newest is None:
        return table
    first = f"(select max({table.newest}) from {table.source}) - interval {RECENT_DAYS} day"  # noqa: S608
    rows = engine.select_rows(table.source, {*columns, table.newest}, f"{table.newest} >= {first}")
    return Table(table.name, rows, table.newest)


def find_landed_events(engine: Engine, landing: Path, as_of: date) -> tuple[Table, bool]:
    """Return the newest partition of the landed events before `as_of` that has rows, and whether it is a month of a historical load.

    The day `as_of` may have its first events already: live events are landed shortly after midnight.

    Raises:
        TableError: No event before `as_of` has been landed.
    """
    folder = landing / "listening_events"
    # A month sorts before its days, so the last name is the newest partition in either case.
    partitions = {path.parent for path in object_store.list_files(folder, "dt=*/*.parquet")}
    for newest in sorted((path for path in partitions if path.name < f"dt={as_of}"), key=str, reverse=True):
        relation = engine.parquet_relation([f"{newest}/*.parquet"])
        if engine.rows(f"select 1 from {relation} limit 1"):  # noqa: S608
            return Table("listening_events", relation, "ended_at"), len(newest.name) == len("dt=2026-06")
    raise TableError(
        f"{folder} holds no events before {as_of}; run `python -m ingestion.land PATH` first, or choose a later as_of"
    )
