"""What changes without anybody asking: how far the online store is behind, as of when the release is, and what the last
comparison of features found.

Written to the metrics every few seconds, for alerts. Knows nothing about requests.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from serving.observability.background import PeriodicTask
from serving.observability.metrics import Metrics
from serving.releases.served_release import ServedRelease

POLL_INTERVAL_S = 5.0

logger = logging.getLogger(__name__)


class ServiceMonitor:
    """Looks every `EVERY_S` seconds, in a thread of its own.

    Args:
        skew: the file that `python -m sequences.skew` writes; it may not be there yet.
        waiting: how many reports the online store lacks.
        release: the one in production, None before the first.
    """

    def __init__(
        self, metrics: Metrics, skew: Path, waiting: Callable[[], int], release: Callable[[], ServedRelease | None]
    ) -> None:
        self._metrics, self._skew, self._pending_reports, self._release = metrics, skew, waiting, release
        self._task = PeriodicTask("watch", POLL_INTERVAL_S, self.update_metrics)

    def start(self) -> None:
        """Look now and from now on."""
        self._task.start()

    def close(self) -> None:
        """Stop looking."""
        self._task.close()

    def update_metrics(self) -> None:
        """Write down what is so now; what is not known stays as it was."""
        self._metrics.unpushed.set(self._pending_reports())
        release = self._release()
        if release is not None and release.as_of:
            self._metrics.release_as_of.set(_seconds(release.as_of))
        try:
            found = json.loads(self._skew.read_text(encoding="utf-8"))
            rate, as_of = float(found["skew_rate"]), _seconds(found["as_of"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.warning("%s cannot be read: %s", self._skew, error)
            return
        self._metrics.skew.set(rate)
        self._metrics.skew_as_of.set(as_of)


def _seconds(day: str) -> float:
    """The midnight of a day, seconds since 1970."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
