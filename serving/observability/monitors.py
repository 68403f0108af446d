"""Periodic updates of metrics that do not depend on requests: age of the release, feature skew.

Independent of requests.

Log line of each request: scene, outcome, A/B test arm, release, stages, number of items and milliseconds.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.observability.degraded_parts import Degradation
from serving.observability.metrics import Metrics
from serving.observability.structured_log import REQUEST_ID
from serving.releases.served_release import ServedRelease

if TYPE_CHECKING:
    from serving.pipeline.request import Request
    from serving.pipeline.response import RecommendationResponse


logger = logging.getLogger(__name__)


MAX_SCENE_LENGTH = 64  # of the name that a request gave


def update_metrics(metrics: Metrics, skew: Path, release: ServedRelease | None, degradation: Degradation) -> None:
    """Update the metrics that do not depend on requests; unknown values stay unchanged.

    Args:
        metrics: Metrics of the service.
        skew: Report of `python -m sequences.skew`; may not exist yet.
        release: The production release; None before the first.
        degradation: Degraded parts, whose expired entries are removed.
    """
    degradation.remove_expired()
    if release is not None and release.as_of:
        metrics.release_as_of.set(_seconds(release.as_of))
    try:
        report = json.loads(skew.read_text(encoding="utf-8"))
        rate, as_of = float(report["skew_rate"]), _seconds(report["as_of"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, KeyError) as error:
        logger.warning("%s cannot be read: %s", skew, error)
        return
    metrics.skew.set(rate)
    metrics.skew_as_of.set(as_of)


def _seconds(day: str) -> float:
    """Midnight of a day, seconds since 1970."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


@contextmanager
def log_request(request_id: str, scene: str) -> Iterator[dict[str, Any]]:
    """Log one line at the end, with the fields that the block adds; all lines within the block have the request's id."""
    token, began = REQUEST_ID.set(request_id), time.perf_counter()
    line: dict[str, Any] = {"outcome": "answered", "scene": scene[:MAX_SCENE_LENGTH]}
    try:
        yield line
    except Exception as error:
        line |= {"outcome": type(error).__name__, "error": str(error)}
        raise
    finally:
        line["ms"] = round((time.perf_counter() - began) * 1000, 3)
        logger.info("request", extra={"fields": line})
        REQUEST_ID.reset(token)


def describe_response(request: Request, response: RecommendationResponse) -> dict[str, Any]:
    """Fields of an answered request."""
    return {"arm": request.arm, request.scene.item_type: len(response.items), **vars(response.trace)}
