"""Ingestion of reported events: validate each row, log new events, push them to the online store.

Independent of HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager, nullcontext
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
class UnknownTrackRow:
    """Position of a valid row in the report, from 0, and its track, which the release in service does not have."""

    index: int
    track_id: str


@dataclass(frozen=True)
class IngestResult:
    """Number of durable rows, number of duplicates, the rejected rows, the other rows about unknown tracks, and the number of
    rows that were not recorded, because they are of private sessions.
    """

    accepted: int
    duplicate: int
    rejected: list[RejectedRow]
    unknown_tracks: list[UnknownTrackRow]
    private: int = 0


class EventIngestor:
    """Ingests reports; thread-safe. Calls `exclude` with new events before they are pushed to the online store.

    `is_known_track` says whether the release in service has a track; events about others are accepted, because the track may
    have been landed since, and named in the result. `without_private` yields the events without those of private sessions;
    it is given a function that says which ids the log knows.
    """

    def __init__(
        self,
        log: EventLog,
        push: EventPusher,
        exclude: Callable[[Sequence[Event]], None],
        metrics: Metrics,
        now_us: Callable[[], int],
        is_known_track: Callable[[str], bool] = lambda _: True,
        without_private: Callable[
            [list[Event], Callable[[str], bool]], AbstractContextManager[list[Event]]
        ] = lambda events, _: nullcontext(events),
    ) -> None:
        self._log, self._push, self._exclude, self._metrics, self._now_us = log, push, exclude, metrics, now_us
        self._is_known_track, self._without_private = is_known_track, without_private

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
        unknown: list[UnknownTrackRow] = []
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
                    continue
                events.append(event)
                if event["target_type"] == "track" and not self._is_known_track(event["target_id"]):
                    unknown.append(UnknownTrackRow(index, event["target_id"]))
            accepted = duplicate = 0
            with self._without_private(events, self._log.knows) as recorded:
                appended = self._log.append(recorded) if recorded else None
            if appended:
                accepted, duplicate = len(appended.events), appended.duplicate
                self._exclude(appended.events)
                if not self._push.push(appended):
                    self._metrics.events.labels("pushed_later").inc(accepted)
        self._metrics.unpushed.set(self._push.pending_reports)
        counts = {
            "accepted": accepted,
            "duplicate": duplicate,
            "rejected": len(rejected),
            "unknown_track": len(unknown),
            "private": len(events) - len(recorded),
        }
        for outcome, count in counts.items():
            self._metrics.events.labels(outcome).inc(count)
        return IngestResult(accepted, duplicate, rejected, unknown, len(events) - len(recorded))
