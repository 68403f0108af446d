"""File locks with a message while waiting, and detection of running tasks."""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file_lock(path: Path, name: str) -> Iterator[None]:
    """Hold an exclusive lock on a file; while waiting for it, print that another `name` is running."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print_progress(f"waiting: another {name} is running")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def running_tasks(home: Path) -> list[str]:
    """Names of pipeline tasks that are running; they may still write data that they have in memory."""
    names = []
    for lock in sorted((home / "run").glob("*.lock")):
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                names.append(lock.stem)
    return names


def print_progress(text: str) -> None:
    """Print a line to stderr."""
    print(text, file=sys.stderr, flush=True)
