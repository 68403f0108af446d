"""Writing the exposure record of a response, by the pipelines of all scenes."""

from __future__ import annotations

import logging
from typing import Protocol

from serving.events.exposure_log import Exposure
from serving.observability.metrics import Metrics
from serving.pipeline.response import Trace

EXPOSURES_FAILED = "the exposure record was not written"

logger = logging.getLogger(__name__)


class ExposureWriter(Protocol):
    """Log of what was shown."""

    def write(self, exposure: Exposure) -> None:
        """Append one record."""


def write_exposure(log: ExposureWriter, exposure: Exposure, trace: Trace, metrics: Metrics) -> None:
    """Append one record. A response without it is better than no response: trace and metrics have the failure."""
    try:
        log.write(exposure)
    except OSError:
        logger.exception("could not write the exposure record of %s", exposure.request.request_id)
        metrics.skipped.labels("exposures").inc()
        trace.degraded["exposures"] = EXPOSURES_FAILED
