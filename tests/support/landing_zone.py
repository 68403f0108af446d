"""Landing zones made by hand, and dbt run over them."""

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
from ingestion.contract import SCHEMAS

DAY = datetime(2026, 6, 1, tzinfo=UTC)
AS_OF = "2026-06-10"
LANDED_AT = datetime(2026, 6, 9, tzinfo=UTC)


def at(minute: float) -> datetime:
    """So many minutes after the world began."""
    return DAY + timedelta(minutes=minute)


def event(event_id: str, user: str, action: str, target: str, end: float, **more: Any) -> dict[str, Any]:
    """An event that ended at minute `end`; plays last `played_ms`."""
    length = timedelta(milliseconds=more.get("played_ms") or 0)
    row = {"event_id": event_id, "user_id": user, "action": action, "target_type": "track", "target_id": target}
    return row | {"sequence_number": 0, "occurred_at": at(end) - length, "ended_at": at(end)} | more


def write(home: Path, table: str, partition: str, name: str, rows: list[dict[str, Any]]) -> Path:
    """One landed file, in the contract's columns."""
    folder = home / "landing" / table / f"dt={partition}"
    folder.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([field.with_nullable(True) for field in SCHEMAS[table]])
    stamped = [{"landed_at": LANDED_AT} | row for row in rows]
    pq.write_table(pa.Table.from_pylist(stamped, schema=schema), folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def write_empty_tables(home: Path) -> None:
    """A zero-row file a table, as every landing leaves it."""
    for table in SCHEMAS:
        write(home, table, "2026-06-01", "empty", [])


def build(
    home: Path, *arguments: str, tests: bool = False, as_of: str = AS_OF, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`dbt build` into `home`; the models alone unless `tests`. `variables`: of another engine than DuckDB."""
    environment = os.environ | {"SEGUE_HOME": str(home)}
    ours = variables or settings.tool_environment(settings.Settings(home, "127.0.0.1", 1, 1, 1, 1))
    without = [] if tests else ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
    program = str(Path(sys.executable).parent / "dbt")
    return subprocess.run(
        [program, "build", "--project-dir", "dbt", "--vars", f"{{as_of: {as_of}}}", *without, *arguments],
        cwd=settings.ROOT,
        env=environment | ours,
        capture_output=True,
        text=True,
        check=False,
    )


def built(
    home: Path, *arguments: str, tests: bool = False, as_of: str = AS_OF, variables: dict[str, str] | None = None
) -> None:
    """`build` that must succeed."""
    run = build(home, *arguments, tests=tests, as_of=as_of, variables=variables)
    assert run.returncode == 0, run.stdout[-5000:]
