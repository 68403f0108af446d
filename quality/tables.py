"""Where the tables to validate are, as relations of an engine. Knows nothing about expectations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from quality.engine import Engine
from storage import object_store


class TableError(ValueError):
    """A table to validate is not there; the message names the file and the remedy."""


@dataclass(frozen=True)
class Table:
    """One table as SQL: `source` is a relation, `newest` the column whose largest values are the newest rows."""

    name: str
    source: str
    newest: str | None = None


def mart_table(engine: Engine, marts: Path, name: str, newest: str | None) -> Table:
    """A published mart.

    Raises:
        TableError: it has not been published.
    """
    path = marts / f"{name}.parquet"
    if not path.is_file():
        raise TableError(f"{path} is not there; run `dbt build --project-dir dbt` first")
    return Table(name, engine.parquet_relation([str(path)]), newest)


@dataclass(frozen=True)
class LandedEvents:
    """The newest landed events: `table` is the newest partition, `week` that day and the seven before it.

    `is_historical`: the partition is a month of a historical load, which is one batch without a week before it.
    """

    table: Table
    week: Table
    is_historical: bool


def find_landed_events(engine: Engine, landing: Path) -> LandedEvents:
    """The newest partition of the landed events that holds rows.

    Raises:
        TableError: nothing has been landed.
    """
    folder = landing / "listening_events"
    # A month sorts before its days: the newest partition is the last name either way.
    partitions = sorted({path.parent for path in object_store.list_files(folder, "dt=*/*.parquet")}, key=str)
    newest = next((path for path in reversed(partitions) if engine.has_rows(path)), None)
    if newest is None:
        raise TableError(f"{folder} holds no events; run `python -m ingestion.land PATH` first")
    is_historical = len(newest.name) == len("dt=2026-06")
    days = [path for path in partitions if len(path.name) == len("dt=2026-06-30")][-8:]
    return LandedEvents(
        table=Table("listening_events", _partition_relation(engine, [newest]), "ended_at"),
        week=Table("listening_events", _partition_relation(engine, days or [newest]), "ended_at"),
        is_historical=is_historical,
    )


def _partition_relation(engine: Engine, partitions: list[Path]) -> str:
    return engine.parquet_relation([f"{path}/*.parquet" for path in partitions])
