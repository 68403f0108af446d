"""Pushes logged events to the online store: before the response if possible, otherwise with retries.

A report is acknowledged when its events are on the disk and in the online store, so the next request sees them. If the store
fails, the events are safe in the log: they are pushed later, or replayed at the next start. After a failure, reports do not wait
for the store: a background thread pushes their events when it responds again. With a broker, events are published to it instead,
and requests see them when a consumer has applied them. Independent of HTTP.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from itertools import islice
from threading import Lock

from serving.events.event_schema import Event
from serving.events.user_writers import UserWriters
from serving.events.write_ahead_log import AppendResult, EventLog, LogPosition
from serving.observability.degraded_parts import EVENT_PUSH, Degradation
from serving.observability.periodic_task import PeriodicTask
from serving.pipeline.stages.hydrate import StoreUnavailable

PUSH_TIMEOUT_S, PUSH_TIMEOUT_PER_EVENT_S = 1.0, 0.002
"""Time without a completed write, and its increase by each waiting event, after which the store or the broker counts as failing
for a report. A retry, which no request waits for, has `MAX_PUSH_WAIT_S`: it must not fail because a write takes long."""
MAX_PUSH_WAIT_S = 5.0
"""Time that a report waits at most while other writes complete."""
RETRY_INTERVAL_S = 1.0
MAX_DEFERRED_EVENTS = 100_000
"""Events that are kept in memory until they are pushed; further ones are read from the log."""
REPLAY_BATCH_SIZE = 1000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _PendingPush:
    events: list[Event]
    position: LogPosition
    is_replay: bool = False  # whether the position is that of the last event of several commits


class EventPusher:
    """Pushes appended events and advances the log's low watermark; a background thread retries and saves the watermark.

    Args:
        log: The event log.
        writers: Writers of the online store or the broker.
        degradation: Where failures are reported.
        exclude: Called with replayed events before they are pushed, so that exclusions take effect if the store is down.
    """

    def __init__(
        self,
        log: EventLog,
        writers: UserWriters,
        degradation: Degradation,
        exclude: Callable[[Sequence[Event]], None] = lambda _: None,
    ) -> None:
        self._log, self._writers, self._degradation, self._exclude = log, writers, degradation, exclude
        self._deferred: deque[_PendingPush] = deque()
        self._deferred_events, self._deferred_lock = 0, Lock()
        self._is_failing = False
        self._has_overflowed = False
        self._retry_task = PeriodicTask("event-push", RETRY_INTERVAL_S, self._retry)

    @property
    def pending_reports(self) -> int:
        """Number of reports that are logged and not yet in the online store."""
        return self._log.low_watermark.pending_commits

    def start(self) -> int:
        """Replay events that earlier processes did not push, then start retrying; return the number of replayed events."""
        replayed = 0
        for push in self._read_unpushed(is_replay=False):
            self._log.low_watermark.mark_logged(push.position)
            self._exclude(push.events)
            if self._is_failing or not self._try_push(push):
                self._defer(push)
            self._save_watermark()
            replayed += len(push.events)
        self._retry_task.start()
        return replayed

    def push(self, appended: AppendResult) -> bool:
        """Push events; return whether the next read of their users sees them (False: later).

        Returns at once while the store is failing.
        """
        if appended.position is None:
            return True
        push = _PendingPush(appended.events, appended.position)
        if not self._is_failing and self._try_push(push, PUSH_TIMEOUT_S):
            return True
        self._defer(push)
        return False

    def close(self) -> None:
        """Apply pending events and save the low watermark."""
        self._retry_task.close()
        self._writers.close()
        self._log.low_watermark.save()

    def _read_unpushed(self, is_replay: bool) -> Iterator[_PendingPush]:
        """The logged events after the low watermark, in chunks."""
        logged = self._log.read_unpushed()
        while chunk := list(islice(logged, REPLAY_BATCH_SIZE)):
            yield _PendingPush([event for event, _ in chunk], chunk[-1][1], is_replay)

    def _save_watermark(self) -> None:
        """Save the low watermark, so that the next start continues here if this process is killed during a long replay."""
        try:
            self._log.low_watermark.save()
        except OSError:
            logger.exception(
                "could not save the low watermark; events that were pushed since are pushed again after a restart"
            )

    def _defer(self, push: _PendingPush) -> None:
        with self._deferred_lock:
            if self._deferred_events + len(push.events) <= MAX_DEFERRED_EVENTS:
                self._deferred.append(push)
                self._deferred_events += len(push.events)
            else:
                self._has_overflowed = True  # read from the log when the others are pushed

    def _take_deferred(self) -> _PendingPush:
        with self._deferred_lock:
            push = self._deferred.popleft()
            self._deferred_events -= len(push.events)
        return push

    def _try_push(self, push: _PendingPush, timeout_s: float = MAX_PUSH_WAIT_S) -> bool:
        by_user: dict[str, list[Event]] = {}
        for event in push.events:
            by_user.setdefault(event["user_id"], []).append(event)
        waiting = [self._writers.submit(user_id, events) for user_id, events in by_user.items()]
        timeout_s += PUSH_TIMEOUT_PER_EVENT_S * self._writers.waiting_events
        late = self._wait(waiting, timeout_s)
        errors = [error for one in waiting if one not in late and (error := one.exception()) is not None]
        if late:
            errors.append(TimeoutError(f"no response within {timeout_s:g} s"))
        if not errors:
            if push.is_replay:
                self._log.low_watermark.mark_pushed_through(push.position)
            else:
                self._log.low_watermark.mark_pushed(push.position)
            self._record_success()
            return True
        # An invalid event fails alone; every other error is that of the store.
        failures = [error for error in errors if not isinstance(error, ValueError)]
        if failures:
            self._is_failing = True
            self._degradation.report(
                EVENT_PUSH, "events are on the disk and reach the online store or the broker later", str(failures[0])
            )
        if not failures or not isinstance(failures[0], StoreUnavailable):
            logger.error(
                "the online store or the broker rejected events: %r; they are in the log and will be pushed again",
                errors[0],
            )
        return False

    def _wait(self, waiting: Sequence[Future[None]], timeout_s: float) -> set[Future[None]]:
        """Wait for writes while the store completes some; return those that are late."""
        late, deadline = set(waiting), time.monotonic() + MAX_PUSH_WAIT_S
        completed = -1
        while late and completed != self._writers.completed_batches and time.monotonic() < deadline:
            completed = self._writers.completed_batches
            late = wait(late, timeout=timeout_s).not_done
        return late

    def _record_success(self) -> None:
        if self._is_failing:
            self._is_failing = False
            self._degradation.clear(EVENT_PUSH)

    def _retry(self) -> None:
        failures = 0
        for _ in range(len(self._deferred)):
            push = self._take_deferred()
            if not self._try_push(push):
                self._defer(push)
                failures += 1
            # One failure may be caused by the report itself; a second one means that the store is unavailable.
            if failures == 2 or self._is_failing or self._retry_task.is_closing:
                break
        if self._has_overflowed and not self._deferred and not self._is_failing:
            self._replay_overflow()
        self._log.low_watermark.save()

    def _replay_overflow(self) -> None:
        """Push the logged events after the low watermark, among them those that were not kept in memory."""
        self._has_overflowed = False
        for push in self._read_unpushed(is_replay=True):
            if not self._try_push(push):
                self._has_overflowed = True
                return
            self._save_watermark()
