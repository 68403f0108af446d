"""A report of events: check each row, log what is new, make it readable, say what became of every row.

Knows nothing about HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from serving.events.event_pusher import EventPusher
from serving.events.event_schema import Event, EventRejected, read_event
from serving.events.write_ahead_log import EventLog
from serving.observability.metrics import Metrics

ERASED_USER_REASON = (
    "the user of user_id was forgotten, and nothing of them is taken any more; who comes back gets another id"
)


@dataclass(frozen=True)
class RejectedRow:
    """Which row of the report, from 0, and why."""

    index: int
    reason: str


@dataclass(frozen=True)
class IngestResult:
    """Counts of rows that are safe now, that were known before, and those that were refused."""

    accepted: int
    duplicate: int
    rejected: list[RejectedRow]


class EventIngestor:
    """Takes reports; thread-safe. `exclude` is told of new events before the online store is."""

    def __init__(
        self,
        log: EventLog,
        push: EventPusher,
        exclude: Callable[[Sequence[Event]], None],
        metrics: Metrics,
        now_us: Callable[[], int],
    ) -> None:
        self._log, self._push, self._exclude, self._metrics, self._now_us = log, push, exclude, metrics, now_us

    def ingest(self, rows: Sequence[object], forgotten: Container[str] = ()) -> IngestResult:
        """Accepted events are on the disk, and, while the online store answers, in the user's next recommendation; what
        they block or dislike is there in any case. Events of `forgotten` users are refused.

        Raises:
            LogBusy: too many reports wait for the disk.
            OSError: the disk refuses; nothing was accepted.
        """
        events: list[Event] = []
        rejected: list[RejectedRow] = []
        with self._metrics.event_seconds.time():
            now_us = self._now_us()
            for index, row in enumerate(rows):
                try:
                    event = read_event(row, now_us)
                except EventRejected as error:
                    rejected.append(RejectedRow(index, str(error)))
                    continue
                if event["user_id"] in forgotten:
                    rejected.append(RejectedRow(index, ERASED_USER_REASON))
                else:
                    events.append(event)
            accepted = duplicate = 0
            if events:
                appended = self._log.append(events)
                accepted, duplicate = len(appended.events), appended.duplicate
                self._exclude(appended.events)
                if not self._push.push(appended):
                    self._metrics.events.labels("pushed_later").inc(accepted)
        self._metrics.unpushed.set(self._push.pending_reports)
        for outcome, count in (("accepted", accepted), ("duplicate", duplicate), ("rejected", len(rejected))):
            self._metrics.events.labels(outcome).inc(count)
        return IngestResult(accepted, duplicate, rejected)
