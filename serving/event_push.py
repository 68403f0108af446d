"""From the log to the online store: before the answer where that works, again and again where it does not.

A report is answered once its events are on the disk and in the online store, so that the very next request sees them.
When the store is away the events are safe in the log: they are pushed later, or replayed at the next start. Where a broker is
in between, it takes the place of the store here, and a request sees the events when a consumer has applied them.
Knows nothing about HTTP.
"""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import wait
from dataclasses import dataclass

from serving.event_log import Appended, EventLog
from serving.event_schema import Event
from serving.polling import Polling
from serving.push_marker import Position
from serving.user_writers import UserWriters

PUSH_WAIT_S = 5.0
RETRY_EVERY_S = 1.0
LATER_REPORTS = 10_000
REPLAY_CHUNK = 1000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Push:
    events: list[Event]
    position: Position


class EventPush:
    """Pushes what the log appended and keeps the log's marker; a background thread retries and saves it."""

    def __init__(self, log: EventLog, writers: UserWriters) -> None:
        self._log, self._writers = log, writers
        self._later: deque[_Push] = deque()
        self._retrying = Polling("event-push", RETRY_EVERY_S, self._retry)

    @property
    def waiting(self) -> int:
        """Reports that are logged and not yet in the online store."""
        return self._log.marker.waiting

    def start(self) -> int:
        """Replay what earlier processes left unpushed, then retry in the background; how many events were replayed."""
        replayed = 0
        chunk: list[Event] = []
        position: Position | None = None
        for event, position in self._log.unpushed():
            chunk.append(event)
            if len(chunk) == REPLAY_CHUNK:
                self._replay(_Push(chunk, position))
                replayed, chunk = replayed + len(chunk), []
        if chunk and position is not None:
            self._replay(_Push(chunk, position))
            replayed += len(chunk)
        self._retrying.start()
        return replayed

    def push(self, appended: Appended) -> bool:
        """Whether the next read of these users sees the events; False when that happens later."""
        if appended.position is None:
            return True
        push = _Push(appended.events, appended.position)
        if self._try(push):
            return True
        if len(self._later) < LATER_REPORTS:  # beyond that they wait in the log for the next start
            self._later.append(push)
        return False

    def close(self) -> None:
        """Apply what is waiting and save the marker."""
        self._retrying.close()
        self._writers.close()
        self._log.marker.save()

    def _replay(self, push: _Push) -> None:
        self._log.marker.logged(push.position)
        if not self._try(push):
            self._later.append(push)

    def _try(self, push: _Push) -> bool:
        by_user: dict[str, list[Event]] = {}
        for event in push.events:
            by_user.setdefault(event["user_id"], []).append(event)
        waiting = [self._writers.submit(user_id, events) for user_id, events in by_user.items()]
        done, late = wait(waiting, timeout=PUSH_WAIT_S)
        errors = [error for answer in done if (error := answer.exception()) is not None]
        if errors:
            logger.error(
                "the online store or the broker took no events: %r; they are in the log and will be pushed again",
                errors[0],
            )
        if errors or late:
            return False
        self._log.marker.pushed(push.position)
        return True

    def _retry(self) -> None:
        failures = 0
        for _ in range(len(self._later)):
            push = self._later.popleft()
            if not self._try(push):
                self._later.append(push)
                failures += 1
            # One failure may be that report's own fault; a second in a row means that the store is away.
            if failures == 2 or self._retrying.is_closing:
                break
        self._log.marker.save()
