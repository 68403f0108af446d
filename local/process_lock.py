"""`python -m local.process_lock NAME COMMAND ...`: runs a command while holding the lock NAME of this SEGUE_HOME.

If only the Airflow process of a task is killed, its command keeps running. The retry waits here for that command to end, so
that the two do not write the same files. Retention waits for all commands, and a command waits for a running retention.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from config.settings import load_settings
from storage.file_lock import file_lock

ALL_TASKS = "all_tasks"
"""Lock that every command shares, except retention, which holds it alone."""
RETENTION = "prune"


def main() -> None:
    """Wait for the lock, then replace this process with the command, which holds it until it ends."""
    if len(sys.argv) < 3:
        raise SystemExit(
            "a name and a command are required, for example: "
            "python -m local.process_lock build_marts dbt build --project-dir dbt"
        )
    name, home = sys.argv[1], load_settings().home
    if name != RETENTION:
        _hold(home, ALL_TASKS, f"waiting: {RETENTION} runs in {home}", is_shared=True)
    _hold(home, name, f"waiting: another {name} runs in {home}, possibly left by a killed task")
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606


def _hold(home: Path, name: str, waiting: str, is_shared: bool = False) -> None:
    with file_lock(home / "run" / f"{name}.lock", waiting=waiting, is_shared=is_shared) as lock:
        os.set_inheritable(os.dup(lock.fileno()), True)


if __name__ == "__main__":
    main()
