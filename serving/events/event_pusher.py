"""Pushes logged events to the online store: before the response if possible, otherwise with retries.

A report is acknowledged when its events are on the disk and in the online store, so the next request sees them. If the store
fails, the events are safe in the log: they are pushed later, or replayed at the next start. With a broker, events are
published to it instead, and requests see them when a consumer has applied them. Knows nothing about HTTP.
"""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import wait
from dataclasses import dataclass

from serving.events.event_schema import Event
from serving.events.user_writers import UserWriters
from serving.events.write_ahead_log import AppendResult, EventLog, LogPosition
from serving.observability.background import PeriodicTask

PUSH_TIMEOUT_S = 5.0
RETRY_INTERVAL_S = 1.0
MAX_DEFERRED_REPORTS = 10_000
REPLAY_BATCH_SIZE = 1000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _PendingPush:
    events: list[Event]
    position: LogPosition


class EventPusher:
    """Pushes appended events and advances the log's low watermark; a background thread retries and saves the watermark."""

    def __init__(self, log: EventLog, writers: UserWriters) -> None:
        self._log, self._writers = log, writers
        self._deferred: deque[_PendingPush] = deque()
        self._retry_task = PeriodicTask("event-push", RETRY_INTERVAL_S, self._retry)

    @property
    def pending_reports(self) -> int:
        """Number of reports that are logged and not yet in the online store."""
        return self._log.low_watermark.pending_commits

    def start(self) -> int:
        """Replay events that earlier processes did not push, then start retrying; return the number of replayed events."""
        replayed = 0
        chunk: list[Event] = []
        position: LogPosition | None = None
        for event, position in self._log.read_unpushed():
            chunk.append(event)
            if len(chunk) == REPLAY_BATCH_SIZE:
                self._replay(_PendingPush(chunk, position))
                replayed, chunk = replayed + len(chunk), []
        if chunk and position is not None:
            self._replay(_PendingPush(chunk, position))
            replayed += len(chunk)
        self._retry_task.start()
        return replayed

    def push(self, appended: AppendResult) -> bool:
        """Push events; return whether the next read of their users sees them (False: later)."""
        if appended.position is None:
            return True
        push = _PendingPush(appended.events, appended.position)
        if self._try_push(push):
            return True
        if len(self._deferred) < MAX_DEFERRED_REPORTS:  # others are replayed from the log at the next start
            self._deferred.append(push)
        return False

    def close(self) -> None:
        """Apply pending events and save the low watermark."""
        self._retry_task.close()
        self._writers.close()
        self._log.low_watermark.save()

    def _replay(self, push: _PendingPush) -> None:
        self._log.low_watermark.mark_logged(push.position)
        if not self._try_push(push):
            self._deferred.append(push)

    def _try_push(self, push: _PendingPush) -> bool:
        by_user: dict[str, list[Event]] = {}
        for event in push.events:
            by_user.setdefault(event["user_id"], []).append(event)
        waiting = [self._writers.submit(user_id, events) for user_id, events in by_user.items()]
        done, late = wait(waiting, timeout=PUSH_TIMEOUT_S)
        errors = [error for answer in done if (error := answer.exception()) is not None]
        if errors:
            logger.error(
                "the online store or the broker rejected events: %r; they are in the log and will be pushed again",
                errors[0],
            )
        if errors or late:
            return False
        self._log.low_watermark.mark_pushed(push.position)
        return True

    def _retry(self) -> None:
        failures = 0
        for _ in range(len(self._deferred)):
            push = self._deferred.popleft()
            if not self._try_push(push):
                self._deferred.append(push)
                failures += 1
            # One failure may be caused by the report itself; a second one means that the store is unavailable.
            if failures == 2 or self._retry_task.is_closing:
                break
        self._log.low_watermark.save()
