"""Kill a command at a moment that is observable from outside, and compare the resulting homes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import duckdb

from config import settings
from local.environment import environment


def home_environment(home: Path) -> dict[str, str]:
    """Environment of the pipeline's commands, with everything below `home`."""
    return environment(settings.Settings(home=home))


def run_and_kill(
    command: Sequence[str], variables: Mapping[str, str], log: Path, is_moment: Callable[[], bool]
) -> bool:
    """Run a command and kill its process group once `is_moment()` is true.

    Args:
        command: Command line.
        variables: Environment.
        log: File for its output, which `is_moment` may read.
        is_moment: Polled until it is true.

    Returns:
        True if the command was killed, False if it succeeded before.
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


def marts(home: Path) -> dict[str, tuple[list[tuple[object, ...]], list[tuple[object, ...]]]]:
    """Columns with types and rows in published order of every mart, except `landings`, which has the times of landing."""
    return {
        file.stem: (duckdb.sql(f"describe select * from '{file}'").fetchall(), duckdb.sql(f"from '{file}'").fetchall())
        for file in sorted((home / "marts").glob("*.parquet"))
        if file.stem != "landings"
    }
