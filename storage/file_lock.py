"""Locks between processes, which end with the process that holds them."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

POLL_S = 0.1


class LockHeld(RuntimeError):
    """Another process holds a lock; the message names both."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"process {holder} holds the lock {path}; wait until it ends, or stop it")
        self.holder = holder


def file_lock(path: Path, *, is_shared: bool = False, timeout_s: float | None = None, waiting: str = "") -> IO[str]:
    """Lock a file, which is created if it is missing, until the returned file is closed: `with file_lock(path):`.

    Args:
        path: File of the lock; it contains the id of the process that locked it last.
        is_shared: Whether other processes may share the lock.
        timeout_s: How long to wait for its holder, seconds; None: until it ends.
        waiting: Line for stderr before it waits without a timeout; the holder is added.

    Raises:
        LockHeld: The lock is not free within `timeout_s`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    file = path.open("r+", encoding="utf-8")
    kind, deadline = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX, time.monotonic() + (timeout_s or 0)
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            holder = os.pread(file.fileno(), 20, 0).decode(errors="replace").strip() or "unknown"
        if timeout_s is None:
            if waiting:
                print(f"{waiting} (process {holder})", file=sys.stderr, flush=True)
            fcntl.flock(file, kind)
            break
        if time.monotonic() >= deadline:
            file.close()
            raise LockHeld(path, holder)
        time.sleep(POLL_S)
    with suppress(OSError):  # a full disk does not keep anyone from locking
        os.pwrite(file.fileno(), f"{os.getpid():<20}".encode(), 0)
    return file


def lock_holder(path: Path) -> str | None:
    """Id of the process that holds a lock alone; None if it is free."""
    try:
        if path.exists():
            file_lock(path, is_shared=True, timeout_s=0).close()
    except LockHeld as error:
        return error.holder
    return None


def held_locks(folder: Path) -> list[str]:
    """Names of the locks `<name>.lock` of a folder that are held, such as the locks of running tasks in `SEGUE_HOME/run`."""
    return [path.stem for path in sorted(folder.glob("*.lock")) if lock_holder(path) is not None]
