"""Periodic updates of metrics that do not depend on requests: lag of the online store, age of the release, feature skew.

Independent of requests.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from serving.observability.degraded_parts import Degradation
from serving.observability.metrics import Metrics
from serving.observability.periodic_task import PeriodicTask
from serving.releases.served_release import ServedRelease

POLL_INTERVAL_S = 5.0

logger = logging.getLogger(__name__)


class ServiceMonitor:
    """Updates the metrics every `POLL_INTERVAL_S` seconds in its own thread.

    Args:
        metrics: Metrics of the service.
        skew: Report of `python -m sequences.skew`; may not exist yet.
        waiting: Returns the number of reports that are not in the online store.
        release: Returns the production release, None before the first.
        degradation: Degraded parts, whose expired entries are removed.
    """

    def __init__(
        self,
        metrics: Metrics,
        skew: Path,
        waiting: Callable[[], int],
        release: Callable[[], ServedRelease | None],
        degradation: Degradation,
    ) -> None:
        self._metrics, self._skew, self._pending_reports, self._release = metrics, skew, waiting, release
        self._degradation = degradation
        self._task = PeriodicTask("watch", POLL_INTERVAL_S, self.update_metrics)

    def start(self) -> None:
        """Start updating."""
        self._task.start()

    def close(self) -> None:
        """Stop updating."""
        self._task.close()

    def update_metrics(self) -> None:
        """Update all metrics; unknown values stay unchanged."""
        self._metrics.unpushed.set(self._pending_reports())
        self._degradation.remove_expired()
        release = self._release()
        if release is not None and release.as_of:
            self._metrics.release_as_of.set(_seconds(release.as_of))
        try:
            report = json.loads(self._skew.read_text(encoding="utf-8"))
            rate, as_of = float(report["skew_rate"]), _seconds(report["as_of"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.warning("%s cannot be read: %s", self._skew, error)
            return
        self._metrics.skew.set(rate)
        self._metrics.skew_as_of.set(as_of)


def _seconds(day: str) -> float:
    """Midnight of a day, seconds since 1970."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
