"""`python -m local.process_lock NAME COMMAND ...`: runs a command while holding the lock NAME of this SEGUE_HOME.

If only the Airflow process of a task is killed, its command keeps running. The retry waits here for that command to end, so
that the two do not write the same files. Retention waits for all commands, and a command waits for a running retention.
"""

from __future__ import annotations

import os
import sys

from config.settings import Settings, load_settings
from storage.file_lock import file_lock

ALL_TASKS = "all_tasks"
"""Lock that every command shares, except retention, which holds it alone."""
RETENTION = "prune"


def acquire_lock(settings: Settings, name: str) -> None:
    """Wait for the lock `name` and hold it until this process ends, also across exec."""
    folder, locks = settings.home / "run", []
    if name != RETENTION:
        waiting = f"waiting: {RETENTION} runs in {settings.home}"
        locks.append(file_lock(folder / f"{ALL_TASKS}.lock", is_shared=True, waiting=waiting))
    waiting = f"waiting: another {name} runs in {settings.home}, possibly left by a killed task"
    locks.append(file_lock(folder / f"{name}.lock", waiting=waiting))
    for lock in locks:
        os.set_inheritable(os.dup(lock.fileno()), True)


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
