"""Ends a command in the middle, the hard way, at a moment that can be seen from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import duckdb

from config import settings
from ingestion import contract
from local.environment import environment


def home_environment(home: Path) -> dict[str, str]:
    """The environment of every command of the line, with everything below `home`."""
    return environment(settings.Settings(home, "127.0.0.1", 1, 1, 1, 1))


def complete(command: Sequence[str], variables: Mapping[str, str]) -> str:
    """What the command prints; it must succeed."""
    done = subprocess.run(command, cwd=settings.ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
    return done.stdout


def killed(command: Sequence[str], variables: Mapping[str, str], log: Path, is_moment: Callable[[], bool]) -> bool:
    """True when the command and all it started was killed once `is_moment`; False: it was done before.

    Its output goes to `log`, which a moment may look at.
    """
    with log.open("wb") as output:
        program = subprocess.Popen(
            command, cwd=settings.ROOT, env=variables, stdout=output, stderr=output, start_new_session=True
        )
    while program.poll() is None:
        if is_moment():
            os.killpg(program.pid, signal.SIGKILL)
            return program.wait() == -signal.SIGKILL
        time.sleep(0.0005)
    assert program.returncode == 0, log.read_text()[-5000:]
    return False


def landed(home: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every landed file's rows: what happened by file name (which is its content), other tables without `landed_at`."""
    found = {}
    for table in sorted((home / "landing").glob("[a-z]*")):
        if table.name in contract.EVENT_TIME_COLUMNS:
            found |= {
                f"{table.name}/{file.parent.name}/{file.name}": rows(f"'{file}'")
                for file in table.glob("dt=*/*.parquet")
            }
        elif table.name != "landings":
            found[table.name] = rows(f"read_parquet('{table}/*/*.parquet', hive_partitioning = false)", "landed_at")
    return found


def marts(home: Path) -> dict[str, tuple[list[tuple[object, ...]], list[tuple[object, ...]]]]:
    """Every mart's columns with their types, and its rows in the published order; but for `landings`, which tells of every
    home what was landed when.
    """
    return {
        file.stem: (duckdb.sql(f"describe select * from '{file}'").fetchall(), rows(f"'{file}'", order=False))
        for file in sorted((home / "marts").glob("*.parquet"))
        if file.stem != "landings"
    }


def rows(source: str, without: str = "", order: bool = True) -> list[tuple[object, ...]]:
    """The rows of a Parquet source."""
    columns = f"* exclude ({without})" if without else "*"
    return duckdb.sql(f"select {columns} from {source} {'order by all' if order else ''}").fetchall()
