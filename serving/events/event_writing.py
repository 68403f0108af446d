"""What only the process with the lock of the event log does: accept events, and write data of users to the disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.settings import Settings
from serving.events.event_pusher import EventPusher
from serving.events.event_schema import Event
from serving.events.exposure_log import ExposureLog
from serving.events.feature_log import FeatureLog
from serving.events.ingest import EventIngestor
from serving.events.private_sessions import PrivateSession, PrivateSessions
from serving.events.user_writers import UserWriters
from serving.events.write_ahead_log import EventLog, LogPosition
from serving.observability.degraded_parts import PRIVATE_SESSIONS

if TYPE_CHECKING:
    from sequences.streaming.publisher import Publisher
    from serving.events.online_store import OnlineStore
    from serving.events.suppression import SuppressionListFollower
    from serving.observability.degraded_parts import Degradation
    from serving.observability.metrics import Metrics
    from serving.pipeline.stages.hydrate import Hydrator

PRIVATE_SESSIONS_LOST = (
    "the private sessions were lost, so no plays, clicks and impressions are recorded until every session must have ended; those "
    "of a user are after the event end_private"
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EventTarget:
    """Where accepted events go: to the online store, or to the broker if there is one. Events of erased users are left out."""

    online: OnlineStore
    publisher: Publisher | None
    suppression: SuppressionListFollower
    hydrator: Hydrator

    def apply(self, events_of: Mapping[str, list[Event]]) -> None:
        """Apply events to the online store or publish them to the broker, except those of users erased since."""
        apply = self.publisher.publish if self.publisher else self.online.apply
        with self.suppression.snapshot() as erased:
            apply({user: events for user, events in events_of.items() if user not in erased})

    def exclude_replayed(self, events: Sequence[Event]) -> None:
        """Cache the exclusions of replayed events, except those of erased users."""
        with self.suppression.snapshot() as erased:
            self.hydrator.record_exclusions([event for event in events if event["user_id"] not in erased])

    def applied_position(self, log: EventLog) -> LogPosition | None:
        """Position up to which the live log is in the online store; None with a broker, where it is unknown."""
        return None if self.publisher else log.low_watermark.position


@dataclass(frozen=True)
class EventWriting:
    """The open logs and stores of the process that writes."""

    log: EventLog
    pusher: EventPusher
    ingestor: EventIngestor
    exposures: ExposureLog
    feature_log: FeatureLog
    private_sessions: PrivateSessions

    @classmethod
    def start(
        cls,
        settings: Settings,
        log: EventLog,
        target: EventTarget,
        metrics: Metrics,
        degradation: Degradation,
        now_us: Callable[[], int],
        is_known_track: Callable[[str], bool],
    ) -> EventWriting:
        """Replay events that the online store lacks, then accept events.

        Args:
            settings: Settings of the service.
            log: The event log, locked by this process.
            target: Where events go.
            metrics: Metrics of the service.
            degradation: Where failures are reported.
            now_us: Clock, µs UTC.
            is_known_track: Whether the release in service has a track.
        """
        with ExitStack() as opened:  # closed if a later part fails
            pusher = EventPusher(log, UserWriters(target.apply), degradation, target.exclude_replayed)
            opened.callback(pusher.close)
            logger.info("%d logged events were replayed to the online store", pusher.start())
            private_sessions = PrivateSessions(settings.home / "serving", now_us)
            opened.callback(private_sessions.close)
            if everyones := private_sessions.everyones:
                lasting_s = (everyones.until_us - now_us()) / 1e6
                degradation.report(PRIVATE_SESSIONS, PRIVATE_SESSIONS_LOST, lasting_s=lasting_s)
            exposures = ExposureLog(settings.event_log, now_us)
            opened.callback(exposures.close)
            feature_log = FeatureLog(
                settings.feature_log, settings.feature_log_share, now_us, lambda: target.applied_position(log)
            )
            opened.pop_all()
        ingestor = EventIngestor(
            log,
            pusher,
            target.hydrator.record_exclusions,
            metrics,
            now_us,
            is_known_track,
            private_sessions.without_private,
        )
        return cls(log, pusher, ingestor, exposures, feature_log, private_sessions)

    def private_session(self, user_id: str) -> PrivateSession | None:
        """The private session of the user that lasts now; None without one, and without a user."""
        return self.private_sessions.current(user_id) if user_id else None

    def close(self) -> None:
        """Push and write what is pending, and release the lock."""
        # Each one is closed even if another cannot write, for instance on a full disk.
        with ExitStack() as last_first:
            for part in (self.private_sessions, self.feature_log, self.exposures, self.log, self.pusher):
                last_first.callback(part.close)
