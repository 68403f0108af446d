"""Structured log: one JSON object per line, with the id of the current request. The line of a request has its scene, outcome, A/B
test arm, release, stages, number of items and milliseconds.

`extra={"fields": {...}}` adds fields to the line. Independent of requests except their id. JSON escapes control characters, so that a
client cannot forge a line with the path of a request. An error of every request, as of a part that is gone, has its traceback once a
minute.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from serving.pipeline.request import Request
    from serving.pipeline.response import RecommendationResponse

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request that this thread handles; empty without one."""

OWN_LOGGERS, SERVER_LOGGERS = ("serving", "event_store", "storage"), ("bentoml", "uvicorn.error")
MAX_HEAD, MAX_TAIL = 400, 200
"""Kept characters at the beginning and at the end of a message: the access log of the server repeats headers and paths."""
TRACEBACK_INTERVAL_S = 60.0
MAX_SCENE_LENGTH = 64  # of the name that a request gave


logger = logging.getLogger(__name__)


class JsonLineFormatter(logging.Formatter):
    """Formats `at` (UTC), `level`, `logger`, `message`, and if present `request_id`, the fields and the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        at = datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")
        message = record.getMessage()
        if len(message) > MAX_HEAD + MAX_TAIL:
            message = f"{message[:MAX_HEAD]} … {message[-MAX_TAIL:]}"
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": message}
        if request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class RareTracebacks(logging.Filter):
    """Replaces the traceback of a record by the error, if the same line has logged this type of error within a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._logged_s: dict[tuple[str, int, type[BaseException]], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten the record; every record is logged."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return True
        key, now_s = (record.pathname, record.lineno, type(error)), time.monotonic()
        if now_s - self._logged_s.get(key, -math.inf) < TRACEBACK_INTERVAL_S:
            record.msg, record.args = f"{record.getMessage()} ({type(error).__name__}: {error})", ()
            record.exc_info = record.exc_text = None
        else:
            self._logged_s[key] = now_s
        return True


def configure_logging(stream: TextIO | None = None) -> logging.Handler:
    """Write the logs of Segue and of the server as JSON lines to `stream` (default: standard error)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLineFormatter())
    handler.addFilter(RareTracebacks())
    for name in (*OWN_LOGGERS, *SERVER_LOGGERS):
        logging.getLogger(name).handlers = [handler]  # a second call replaces the first handler
        logging.getLogger(name).propagate = False
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(logging.INFO)
    return handler


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
