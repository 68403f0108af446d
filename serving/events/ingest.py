"""Ingestion of reported events: validate each row, log new events, push them to the online store.

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
    "the user of user_id was erased; events with this id are not accepted, a returning user needs a new id"
)


@dataclass(frozen=True)
class RejectedRow:
    """Position of the row in the report, from 0, and the reason."""

    index: int
    reason: str


@dataclass(frozen=True)
class IngestResult:
    """Number of durable rows, number of duplicates, and the rejected rows."""

    accepted: int
    duplicate: int
    rejected: list[RejectedRow]


class EventIngestor:
    """Ingests reports; thread-safe. Calls `exclude` with new events before they are pushed to the online store."""

    def __init__(
        self,
        log: EventLog,
        push: EventPusher,
        exclude: Callable[[Sequence[Event]], None],
        metrics: Metrics,
        now_us: Callable[[], int],
    ) -> None:
        self._log, self._push, self._exclude, self._metrics, self._now_us = log, push, exclude, metrics, now_us

    def ingest(self, rows: Sequence[object], erased: Container[str] = ()) -> IngestResult:
        """Validate, log and push a report.

        Accepted events are durable and, if the online store works, visible to the user's next request. Their exclusions
        (block, dislike) take effect in any case. Events of `erased` users are rejected.

        Raises:
            LogBusy: Too many reports are queued.
            OSError: The write failed; nothing was accepted.
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
                if event["user_id"] in erased:
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
