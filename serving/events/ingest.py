"""Reported events: validate each row, add its behavior, and commit the report to the event store. Independent of HTTP."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from event_store.event_rules import Event
from event_store.store import Appended, EventStore
from sequences.behaviors import load_behaviors, played_ratio
from serving.events.event_schema import EventRejected, read_event
from serving.observability.metrics import Metrics
from serving.releases.track_lookup import TrackLookup
from serving.response_schemas import EventReport, RejectedEvent, UnknownTrackEvent

ERASED_USER_REASON = (
    "the user of user_id was erased; events with this id are not accepted, a returning user needs a new id"
)


class EventIngestor:
    """Ingests reports; thread-safe.

    Args:
        store: Where events are committed.
        tracks: Durations, by which full plays are recognized. Events about unknown tracks are accepted, because the track may have
            been landed since, and named in the result.
        metrics: Metrics of the service.
        now_us: Clock, µs UTC.
    """

    def __init__(self, store: EventStore, tracks: TrackLookup, metrics: Metrics, now_us: Callable[[], int]) -> None:
        self._store, self._tracks, self._metrics, self._now_us = store, tracks, metrics, now_us

    def ingest(self, rows: Sequence[object], erased: Container[str] = ()) -> EventReport:
        """Validate and commit a report. Accepted events are durable and visible to the next request of any process.

        Events of `erased` users are rejected.

        Raises:
            StoreUnavailable: Nothing was accepted.
        """
        events: list[Event] = []
        rejected: list[RejectedEvent] = []
        unknown: list[UnknownTrackEvent] = []
        with self._metrics.event_seconds.time():
            now_us = self._now_us()
            for index, row in enumerate(rows):
                try:
                    event = read_event(row, now_us)
                except EventRejected as error:
                    rejected.append(RejectedEvent(index=index, reason=str(error)))
                    continue
                if event["user_id"] in erased:
                    rejected.append(RejectedEvent(index=index, reason=ERASED_USER_REASON))
                    continue
                events.append(self._describe(event))
                if event["target_type"] == "track" and not self._tracks.is_known(event["target_id"]):
                    unknown.append(UnknownTrackEvent(index=index, track_id=event["target_id"]))
            appended = self._store.append(events) if events else Appended()
        counts = vars(appended) | {"rejected": len(rejected), "unknown_track": len(unknown)}
        for outcome, count in counts.items():
            self._metrics.events.labels(outcome).inc(count)
        return EventReport(
            accepted=appended.accepted,
            duplicate=appended.duplicate,
            rejected=rejected,
            unknown_tracks=unknown,
            private=appended.private,
        )

    def _describe(self, event: Event) -> Event:
        """The event with its behavior, and the fraction of the track that was played."""
        action, played_ms = event["action"], event["played_ms"]
        is_track_play = action == "play" and event["target_type"] == "track"
        duration_ms = self._tracks.duration_of(event["target_id"]) if is_track_play else None
        behavior = load_behaviors().behavior_of(action, played_ms, duration_ms)
        return event | {"behavior": behavior, "played_ratio": played_ratio(played_ms, duration_ms)}
