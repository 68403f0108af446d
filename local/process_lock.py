"""`python -m local.process_lock NAME COMMAND ...`: runs a command while holding the lock NAME of this SEGUE_HOME.

If only the Airflow process of a task is killed, its command keeps running. The retry waits here for that command to end, so
that the two do not write the same files.
"""

from __future__ import annotations

import fcntl
import os
import sys

from config.settings import Settings, load_settings


def acquire_lock(settings: Settings, name: str) -> None:
    """Wait for the lock `name` and hold it until this process ends, also across exec."""
    path = settings.home / "run" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"waiting: another {name} runs in {settings.home}, possibly left by a killed task", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
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
