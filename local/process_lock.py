"""`python -m local.process_lock NAME COMMAND ...`: runs a command while holding the lock NAME of this SEGUE_HOME.

If only the Airflow process of a task is killed, its command keeps running. The retry waits here for that command to end, so
that the two do not write the same files. Retention waits for all commands, and a command waits for a running retention.
"""

from __future__ import annotations

import fcntl
import os
import sys

from config.settings import Settings, load_settings

ALL_TASKS = "all_tasks"
"""Lock that every command shares, except retention, which holds it alone."""
RETENTION = "prune"


def acquire_lock(settings: Settings, name: str) -> None:
    """Wait for the lock `name` and hold it until this process ends, also across exec."""
    if name != RETENTION:
        _acquire(settings, ALL_TASKS, fcntl.LOCK_SH, f"waiting: {RETENTION} runs in {settings.home}")
    waiting = f"waiting: another {name} runs in {settings.home}, possibly left by a killed task"
    _acquire(settings, name, fcntl.LOCK_EX, waiting)


def _acquire(settings: Settings, name: str, kind: int, waiting: str) -> None:
    path = settings.home / "run" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        print(waiting, flush=True)
        fcntl.flock(lock, kind)
    os.set_inheritable(lock, True)


def main() -> None:
    """Acquire the lock, then replace this process with the command."""
    if len(sys.argv) < 3:
        raise SystemExit(
            "a name and a command are required, for example: "
            "python -m local.process_lock build_marts dbt build --project-dir dbt"
        )
    acquire_lock(load_settings(), sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606


if __name__ == "__main__":
    main()
