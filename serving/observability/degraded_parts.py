"""Parts of the service that do not work at the moment, with reasons: for `/status`, the metrics and the log.

The service answers without them. Each part is reported by the module that notices the failure, and cleared by the one that
notices the recovery, usually a periodic check. Independent of requests.
"""

from __future__ import annotations

import logging
import math
import time
from threading import Lock

from serving.observability.metrics import Metrics
from serving.response_schemas import DegradedPart

EVENT_STORE, ONLINE_STORE, RELEASE = "event_store", "online_store", "release"
PRIVATE_SESSIONS = "private_sessions"
"""Parts of the service. Parts that failed for one response are in its trace."""

logger = logging.getLogger(__name__)


class Degradation:
    """The degraded parts; thread-safe."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics, self._lock = metrics, Lock()
        self._parts: dict[str, tuple[DegradedPart, float]] = {}  # each with its time of expiry, seconds since 1970

    @property
    def parts(self) -> dict[str, DegradedPart]:
        """Degraded parts by name."""
        self.remove_expired()
        with self._lock:
            return {name: part for name, (part, _) in self._parts.items()}

    def remove_expired(self) -> None:
        """Clear parts that were not reported again in time."""
        now = time.time()
        with self._lock:
            expired = [name for name, (_, until_s) in self._parts.items() if until_s < now]
        for name in expired:
            self.clear(name)

    def report(self, part: str, why: str, error: BaseException | str = "", lasting_s: float = math.inf) -> None:
        """Record that a part does not work. Only the first report is logged.

        Args:
            part: Name of the part.
            why: What users and operators notice.
            error: Technical cause.
            lasting_s: Time after which the part counts as working again unless it is reported again; by default `clear` says
                so.
        """
        cause = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        with self._lock:
            before, now = self._parts.get(part), time.time()
            since_s = before[0].since_s if before else round(now, 3)
            self._parts[part] = DegradedPart(part=part, why=why, error=cause, since_s=since_s), now + lasting_s
            self._metrics.degraded.labels(part).set(1)
        if before is None:
            logger.error("degraded: %s: %s (%s)", part, why, cause)

    def clear(self, part: str) -> None:
        """Record that a part works."""
        with self._lock:
            before = self._parts.pop(part, None)
            self._metrics.degraded.labels(part).set(0)
        if before is not None:
            logger.info("%s works again after %.1f s", part, time.time() - before[0].since_s)
