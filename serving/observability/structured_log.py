"""Structured log: one JSON object per line, with the id of the current request.

`extra={"fields": {...}}` adds fields to the line. Knows nothing about requests except their id.
"""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request that this thread handles; empty without one."""

PACKAGE = "serving"


class JsonLineFormatter(logging.Formatter):
    """Formats `at` (UTC), `level`, `logger`, `message`, and if present `request_id`, the fields and the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        at = datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(stream: TextIO | None = None) -> logging.Handler:
    """Write the log of the package `serving` as JSON lines to `stream` (default: standard error)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLineFormatter())
    logger = logging.getLogger(PACKAGE)
    logger.handlers = [handler]  # a second call replaces the first handler
    logger.propagate = False
    logger.setLevel(logging.INFO)
    return handler
