"""`python -m local.process_lock NAME COMMAND ...`: runs a command when no other of its name runs in this SEGUE_HOME.

A task's command outlives the Airflow process that started it when only that one is killed. Its retry waits here for the
command to end, instead of working beside it on the same files. Knows nothing about what the command does.
"""

from __future__ import annotations

import fcntl
import os
import sys

from config.settings import Settings, load_settings


def acquire_lock(settings: Settings, name: str) -> None:
    """Take the lock of `name` and keep it until this process ends, whatever program it becomes."""
    path = settings.home / "run" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"waiting: another {name} runs in {settings.home}, perhaps left by a killed task", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    os.set_inheritable(lock, True)


def main() -> None:
    """Wait for the others, then become the command."""
    if len(sys.argv) < 3:
        raise SystemExit(
            "which command? For example: python -m local.process_lock build_marts dbt build --project-dir dbt"
        )
    acquire_lock(load_settings(), sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606


if __name__ == "__main__":
    main()
