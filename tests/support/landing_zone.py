"""Handmade landing zones and `dbt build` over them."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from config import settings
from ingestion.landed_tables import SCHEMAS
from tests.support.dbt_process import PROJECT, WITHOUT_TESTS, dbt_on

DAY = datetime(2026, 6, 1, tzinfo=UTC)
AS_OF = "2026-06-10"
LANDED_AT = datetime(2026, 6, 9, tzinfo=UTC)


def at(minute: float) -> datetime:
    """Time `minute` minutes after the start of the data."""
    return DAY + timedelta(minutes=minute)


def event(event_id: str, user: str, action: str, target: str, end: float, **more: Any) -> dict[str, Any]:
    """An event that ended at minute `end`; it started `played_ms` earlier."""
    length = timedelta(milliseconds=more.get("played_ms") or 0)
    row = {"event_id": event_id, "user_id": user, "action": action, "target_type": "track", "target_id": target}
    return row | {"sequence_number": 0, "occurred_at": at(end) - length, "ended_at": at(end)} | more


def write(home: Path, table: str, partition: str, name: str, rows: list[dict[str, Any]]) -> Path:
    """Write a landed file with the columns of the contract."""
    folder = home / "landing" / table / f"dt={partition}"
    folder.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([field.with_nullable(True) for field in SCHEMAS[table]])
    stamped = [{"landed_at": LANDED_AT} | row for row in rows]
    pq.write_table(pa.Table.from_pylist(stamped, schema=schema), folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def write_empty_tables(home: Path) -> None:
    """Write a zero-row file per table, as every landing does."""
    for table in SCHEMAS:
        write(home, table, "2026-06-01", "empty", [])


def build(
    home: Path, *arguments: str, tests: bool | str = False, as_of: str = AS_OF, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `dbt build` in `home`.

    Args:
        home: Home folder.
        arguments: Additional arguments of dbt.
        tests: Also run data tests and unit tests; the start of a name: beside all models this data test only.
        as_of: First unknown day.
        variables: Environment variables for another engine than DuckDB.
    """
    options = ["--vars", f"{{as_of: {as_of}}}", *(() if tests else WITHOUT_TESTS), *arguments]
    if isinstance(tests, str):
        options += ["--select", "resource_type:model", "resource_type:seed", f"{tests}*", "--indirect-selection=empty"]
    if variables is None:
        return dbt_on("duckdb").build(home, options)
    return subprocess.run(
        [str(Path(sys.executable).parent / "dbt"), "build", *PROJECT, *options],
        cwd=settings.ROOT,
        env=os.environ | {"SEGUE_HOME": str(home)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def built(
    home: Path, *arguments: str, tests: bool = False, as_of: str = AS_OF, variables: dict[str, str] | None = None
) -> None:
    """Run `build` and assert that it succeeds."""
    run = build(home, *arguments, tests=tests, as_of=as_of, variables=variables)
    assert run.returncode == 0, run.stdout[-5000:]
