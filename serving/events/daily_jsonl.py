"""Append-only JSON Lines files, one per day and process, named as in `storage.daily_files`.

The day is the UTC day of writing, so a file does not grow after its day. The number is the start time in µs, or one more than
that of the newest file if the clock was set back. Not thread-safe: a single owner writes.
Independent of events.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from storage import daily_files
from storage.files import sync


class DailyJsonlFile:
    """Appends whole lines. After `sync` they survive a crash of the process or the machine."""

    def __init__(self, folder: Path, name: str, now_us: Callable[[], int]) -> None:
        self._folder, self._name, self._now_us = folder, name, now_us
        self._day = ""
        self._descriptor = -1
        self._size = self._synced_size = 0
        self.path = folder

    def append(self, lines: bytes) -> tuple[Path, int]:
        """Append lines, each ending with a newline.

        Returns:
            The file and the offset after the lines.

        Raises:
            OSError: The write failed. The file is as before, so the call can be repeated.
        """
        self._open_day()
        start = self._size
        try:
            written = 0
            while written < len(lines):
                written += os.write(self._descriptor, lines[written:])
        except OSError:
            try:
                os.ftruncate(self._descriptor, start)
            except OSError:
                self._discard_file()
            raise
        self._size = start + len(lines)
        return self.path, self._size

    def sync(self) -> None:
        """Flush everything that was appended to the disk."""
        if self._descriptor >= 0:
            os.fdatasync(self._descriptor)
            self._synced_size = self._size

    def close(self) -> None:
        """Sync and close; the next append opens a new file."""
        if self._descriptor >= 0:
            self.sync()
            os.close(self._descriptor)
            self._descriptor, self._day = -1, ""

    def _discard_file(self) -> None:
        """Close the file, and delete it if it has no lines: each attempt on a full disk would leave an empty file."""
        with suppress(OSError):
            if os.fstat(self._descriptor).st_size == 0:
                self.path.unlink()
        os.close(self._descriptor)
        self._descriptor, self._day = -1, ""

    def _open_day(self) -> None:
        now_us = self._now_us()
        day = datetime.fromtimestamp(now_us / 1e6, tz=UTC).strftime("%Y-%m-%d")
        if day == self._day:
            return
        self.close()
        folder = self._folder / f"dt={day}"
        folder.mkdir(parents=True, exist_ok=True)
        earlier = daily_files.list_files(self._folder, self._name)
        number = max(now_us, daily_files.number_of(earlier[-1].name) + 1 if earlier else 0)
        self.path = folder / f"{self._name}-{number:017d}-{os.getpid()}.jsonl"
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = self._synced_size = os.fstat(self._descriptor).st_size
        try:
            # A new file is durable only after its folders are synced.
            for parent in (folder, self._folder):
                sync(parent)
        except OSError:
            self._discard_file()
            raise
        self._day = day
