"""The durable log of reported events: what was acknowledged is on the disk, once.

One thread commits: it takes every report that is waiting, drops repeats, numbers the events, writes them in one go and
syncs once for all of them (group commit), so a hundred concurrent reports cost one sync. Files lie where tomorrow's
landing reads them: `live/dt=<day>/events-*.jsonl`, one contract row a line, times in µs UTC.
Knows nothing about HTTP or the online store.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from serving.events import daily_jsonl
from serving.events.daily_jsonl import DailyJsonlFile
from serving.events.deduplication import RecentEventIds
from serving.events.event_schema import Event
from serving.events.low_watermark import LogPosition, LowWatermark

EVENT_LOG_PREFIX = "events"
LOCK_FILE = "writer.lock"
MAX_QUEUED_REPORTS = 1024
MAX_REPORTS_PER_COMMIT = 256
LOCK_TIMEOUT_S = 15.0


class LogBusy(RuntimeError):
    """Too many reports wait for the disk; the client should try again."""


class LogLocked(RuntimeError):
    """Another process writes this log; a user's events have one writer."""


@dataclass(frozen=True)
class AppendResult:
    """What became of one report: the events that were new, in log order, and how many were repeats."""

    events: list[Event]
    duplicate: int
    position: LogPosition | None


@dataclass(frozen=True)
class _AppendRequest:
    events: list[Event]
    future: Future[AppendResult]


class EventLog:
    """Append, remember what has been pushed, replay what has not.

    Args:
        folder: the live folder, `SEGUE_HOME/live`.
        state: a folder for the lock and the push marker.
        now_us: the clock, µs UTC.

    Raises:
        LogTaken: another process has held the log for `lock_wait_s`.
    """

    def __init__(
        self, folder: Path, state: Path, now_us: Callable[[], int], lock_timeout_s: float = LOCK_TIMEOUT_S
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        state.mkdir(parents=True, exist_ok=True)
        self._folder, self._now_us = folder, now_us
        self._lock = _acquire_lock(state / LOCK_FILE, lock_timeout_s)
        self._file = DailyJsonlFile(folder, EVENT_LOG_PREFIX, now_us)
        self._ids = RecentEventIds()
        self.low_watermark = LowWatermark(state / "pushed.json")
        self._number = 0
        paths = daily_jsonl.list_files(folder, EVENT_LOG_PREFIX)
        self.repaired_files = [path for path in paths if daily_jsonl.truncate_torn_line(path)]
        self._ids.load(paths)
        self._reports: queue.Queue[_AppendRequest | None] = queue.Queue(maxsize=MAX_QUEUED_REPORTS)
        self._closed = False
        self._committer = threading.Thread(target=self._commit_forever, name="event-log", daemon=True)
        self._committer.start()

    @property
    def is_alive(self) -> bool:
        """Whether events can be committed."""
        return self._committer.is_alive()

    def append(self, events: list[Event]) -> AppendResult:
        """Log the events that are new, in order; returns when they are on the disk.

        Raises:
            LogBusy: the queue is full, or the log is being closed.
            OSError: the disk refused; nothing of the report counts as logged.
        """
        if self._closed:
            raise LogBusy("the event log is closing; send the events again in a moment")
        report = _AppendRequest(events, Future())
        try:
            self._reports.put_nowait(report)
        except queue.Full:
            raise LogBusy(
                f"{MAX_QUEUED_REPORTS} reports are waiting for the disk; send the events again in a second"
            ) from None
        return report.future.result()

    def read_unpushed(self) -> Iterator[tuple[Event, LogPosition]]:
        """Events of earlier processes that the marker does not cover, in log order; call before the first append.

        Lines that hold no JSON object (a disk lost them) are passed over; landing quarantines them.
        """
        mark = self.low_watermark.position
        for path in daily_jsonl.list_files(self._folder, EVENT_LOG_PREFIX):
            name, start = self._name_of(path), 0
            if mark is not None:
                if (path.parent.name, path.name) < _sort_key(mark[0]):
                    continue
                start = mark[1] if name == mark[0] else 0
            for line, offset in daily_jsonl.read_lines(path, start):
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict) and "user_id" in event:
                    yield event, (name, offset)

    def close(self) -> None:
        """Commit what is waiting, save the marker, release the log."""
        if self._closed:
            return
        self._closed = True
        self._reports.put(None)
        self._committer.join()
        self._file.close()
        self.low_watermark.save()
        self._lock.close()

    def _commit_forever(self) -> None:
        while True:
            report = self._reports.get()
            waiting = [] if report is None else [report]
            is_last = report is None
            while not is_last and len(waiting) < MAX_REPORTS_PER_COMMIT:
                try:
                    report = self._reports.get_nowait()
                except queue.Empty:
                    break
                if report is None:
                    is_last = True
                else:
                    waiting.append(report)
            if waiting:
                self._commit(waiting)
            if is_last:
                return

    def _commit(self, reports: list[_AppendRequest]) -> None:
        fresh = [[event for event in report.events if self._ids.add(event["event_id"])] for report in reports]
        try:
            blocks = [b"".join(self._line(event) for event in events) for events in fresh]
            positions: list[LogPosition | None] = [None] * len(reports)
            if any(blocks):
                path, end = self._file.append(b"".join(blocks))
                self._file.sync()
                positions = self._positions(path, end, blocks)
        except Exception as error:
            # What a failed sync left on the disk is unknown: the next commit goes to a new file.
            self._file.abandon()
            for event in (event for events in fresh for event in events):
                self._ids.discard(event["event_id"])
            for report in reports:
                report.future.set_exception(error)
            return
        for report, events, position in zip(reports, fresh, positions, strict=True):
            report.future.set_result(AppendResult(events, len(report.events) - len(events), position))

    def _positions(self, path: Path, end: int, blocks: list[bytes]) -> list[LogPosition | None]:
        offset = end - sum(len(block) for block in blocks)
        positions: list[LogPosition | None] = []
        for block in blocks:
            offset += len(block)
            positions.append((self._name_of(path), offset) if block else None)
            if block:
                self.low_watermark.mark_logged((self._name_of(path), offset))
        return positions

    def _line(self, event: Event) -> bytes:
        # The number breaks ties of `ended_at` within a user: it grows with every event logged, over restarts too.
        self._number = max(self._number + 1, self._now_us())
        if event["sequence_number"] is None:
            event["sequence_number"] = self._number
        present = {name: value for name, value in event.items() if value is not None}
        return json.dumps(present, separators=(",", ":")).encode() + b"\n"

    def _name_of(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


def _sort_key(name: str) -> tuple[str, str]:
    day, _, file = name.partition("/")
    return day, file


def _acquire_lock(path: Path, wait_s: float) -> IO[str]:
    file = path.open("a+", encoding="utf-8")
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                file.close()
                raise LogLocked(
                    f"process {holder} writes the event log (lock {path}); stop it, or give this one its own SEGUE_HOME"
                ) from None
            time.sleep(0.1)
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file
