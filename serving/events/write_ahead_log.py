"""Write-ahead log of reported events: every acknowledged event is on the disk exactly once.

A single thread commits: it takes all queued reports, removes duplicates, numbers the events, and writes and syncs them
together (group commit), so a hundred concurrent reports take one sync. Ingestion lands the files the next day:
`live/dt=<day>/events-*.jsonl`, one contract row per line, times in µs UTC.
Independent of HTTP or the online store.
"""

from __future__ import annotations

import json
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from serving.events.daily_jsonl import DailyJsonlFile
from serving.events.deduplication import RecentEventIds
from serving.events.event_schema import Event, read_logged_event
from storage import daily_files
from storage.file_lock import file_lock
from storage.files import atomic_write

EVENT_LOG_PREFIX = "events"
LOCK_FILE = "writer.lock"
MAX_QUEUED_REPORTS = 1024
MAX_REPORTS_PER_COMMIT = 256
LOCK_TIMEOUT_S = 15.0
RESERVED_NUMBERS_FILE = "reserved_numbers"
RESERVED_NUMBERS = 60_000_000
"""Numbers of events that are reserved at once: those of a minute, because events are numbered by the clock in µs."""

LogPosition = tuple[str, int]
"""File relative to the log's folder, and the offset after the line."""


class LogBusy(RuntimeError):
    """Too many reports are queued; the client should retry."""


@dataclass(frozen=True)
class AppendResult:
    """Result of one report: its new events, in log order, the number of duplicates, and the position after the events."""

    events: list[Event]
    duplicate: int
    position: LogPosition | None


@dataclass(frozen=True)
class _AppendRequest:
    events: list[Event]
    future: Future[AppendResult]


class EventLog:
    """Appends events, tracks which were pushed, and replays those that were not.

    Args:
        folder: Live folder, `SEGUE_HOME/live`.
        state: Folder of the lock, the low watermark and the reserved numbers.
        now_us: Clock, µs UTC.
        lock_timeout_s: How long to wait for the lock.

    Raises:
        LockHeld: Another process still has the lock after `lock_timeout_s`.
    """

    def __init__(
        self, folder: Path, state: Path, now_us: Callable[[], int], lock_timeout_s: float = LOCK_TIMEOUT_S
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._now_us = folder, now_us
        self._lock = file_lock(state / LOCK_FILE, timeout_s=lock_timeout_s)
        self._file = DailyJsonlFile(folder, EVENT_LOG_PREFIX, now_us)
        self._ids = RecentEventIds()
        self.low_watermark = LowWatermark(state / "pushed.json")
        paths = daily_files.list_files(folder, EVENT_LOG_PREFIX)
        # Events are numbered by the clock, which may have been set back: continue after those of earlier processes.
        self._reserved_file = state / RESERVED_NUMBERS_FILE
        modified_us = (
            path.stat().st_mtime_ns // 1000 for path in paths
        )  # if the file of the reserved numbers is missing
        self._number = self._reserved = max(_read_reserved(self._reserved_file), *modified_us, 0)
        self.repaired_files = [path for path in paths if daily_files.truncate_torn_line(path)]
        self._ids.load(paths)
        self._reports: queue.Queue[_AppendRequest | None] = queue.Queue(maxsize=MAX_QUEUED_REPORTS)
        self._closed = False
        self._committer = threading.Thread(target=self._commit_forever, name="event-log", daemon=True)
        self._committer.start()

    @property
    def is_alive(self) -> bool:
        """Whether events can be committed."""
        return self._committer.is_alive()

    def knows(self, event_id: str) -> bool:
        """Whether a recent event has this id, so that another one is a duplicate."""
        return event_id in self._ids

    def append(self, events: list[Event]) -> AppendResult:
        """Log the new events, in order; returns when they are on the disk.

        Raises:
            LogBusy: The queue is full, or the log is closing.
            OSError: The write failed; no event of the report counts as logged.
        """
        if self._closed:
            raise LogBusy("the event log is closing; send the events again in a moment")
        report = _AppendRequest(events, Future())
        try:
            self._reports.put_nowait(report)
        except queue.Full:
            raise LogBusy(
                f"{MAX_QUEUED_REPORTS} reports are queued for the disk; send the events again in a second"
            ) from None
        return report.future.result()

    def read_unpushed(self) -> Iterator[tuple[Event, LogPosition]]:
        """Events after the low watermark, in log order; also those that are being appended.

        Lines without a valid event (disk errors) are skipped; ingestion quarantines them.
        """
        mark = self.low_watermark.position
        for path in daily_files.list_files(self._folder, EVENT_LOG_PREFIX):
            name, start = self._name_of(path), 0
            if mark is not None:
                if daily_files.sort_key(name) < daily_files.sort_key(mark[0]):
                    continue
                start = mark[1] if name == mark[0] else 0
            for line, offset in daily_files.read_lines(path, start):
                event = read_logged_event(line)
                if event is not None:
                    yield event, (name, offset)

    def close(self) -> None:
        """Commit queued reports, save the low watermark and release the lock."""
        if self._closed:
            return
        self._closed = True
        self._reports.put(None)
        self._committer.join()
        try:
            self._file.close()
            self.low_watermark.save()
        finally:
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
            # The state of the file after a failed sync is unknown: the next commit goes to a new file.
            self._file.abandon()
            self._ids.remove_newest(sum(len(events) for events in fresh))
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
        # The number breaks ties of `ended_at` within a user. It increases with every event, across restarts too.
        self._number = max(self._number + 1, self._now_us())
        if self._number > self._reserved:
            self._reserve(self._number + RESERVED_NUMBERS)
        if event["sequence_number"] is None:
            event["sequence_number"] = self._number
        present = {name: value for name, value in event.items() if value is not None}
        return json.dumps(present, separators=(",", ":")).encode() + b"\n"

    def _reserve(self, last: int) -> None:
        """Write durably that numbers up to `last` may be in the log."""
        atomic_write(self._reserved_file, str(last), is_durable=True)
        self._reserved = last

    def _name_of(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


class LowWatermark:
    """Position of the event log up to which all events are in the online store, kept across restarts; thread-safe.

    Events may be pushed in any order. The watermark may lag behind, but is never ahead: replaying events that the store already
    has changes nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._pending: OrderedDict[LogPosition, bool] = OrderedDict()
        self._position = _read_watermark(path)
        self._saved_position = self._position

    @property
    def position(self) -> LogPosition | None:
        """Position up to which everything was pushed; None before the first push."""
        return self._position

    @property
    def pending_commits(self) -> int:
        """Number of commits after the watermark: the lag of the online store."""
        return len(self._pending)

    def mark_logged(self, position: LogPosition) -> None:
        """Record a commit that ended at this position; call in log order."""
        with self._lock:
            self._pending[position] = False

    def mark_pushed(self, position: LogPosition) -> None:
        """Record that the commit that ended at this position is in the online store."""
        with self._lock:
            if position in self._pending:
                self._pending[position] = True
            while self._pending and self._pending[next(iter(self._pending))]:
                self._position, _ = self._pending.popitem(last=False)

    def mark_pushed_through(self, position: LogPosition) -> None:
        """Record that all commits up to this position of the log are in the online store."""
        last = daily_files.sort_key(position[0]), position[1]
        with self._lock:
            while self._pending:
                file, offset = next(iter(self._pending))  # in log order
                if not self._pending[file, offset] and (daily_files.sort_key(file), offset) > last:
                    break
                self._position, _ = self._pending.popitem(last=False)

    def save(self) -> None:
        """Write the watermark atomically."""
        position = self._position
        if position is None or position == self._saved_position:
            return
        atomic_write(self._path, json.dumps({"file": position[0], "offset": position[1]}))
        self._saved_position = position


def _read_watermark(path: Path) -> LogPosition | None:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return str(stored["file"]), int(stored["offset"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # Without a readable watermark the recent log is pushed again, which is slower but correct.
        return None


def _read_reserved(path: Path) -> int:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0
