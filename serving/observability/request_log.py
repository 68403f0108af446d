"""Log line of each request: scene, outcome, A/B test arm, release, stages, number of items and milliseconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from serving.observability.structured_log import REQUEST_ID

if TYPE_CHECKING:
    from serving.pipeline.request import Request
    from serving.pipeline.response import RecommendationResponse

MAX_SCENE_LENGTH = 64  # of the name that a request gave

logger = logging.getLogger(__name__)


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
