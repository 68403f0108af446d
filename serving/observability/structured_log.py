"""The service's log: a JSON object a line, with the id of the request that it is about.

What is logged with `extra={"fields": {...}}` becomes fields of the line. Knows nothing about requests but their id.
"""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""The request that this thread answers; empty for none."""

PACKAGE = "serving"


class JsonLineFormatter(logging.Formatter):
    """`at` (UTC), `level`, `logger`, `message`, then `request_id`, the fields and the traceback, where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, however many the message has."""
        at = datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(stream: TextIO | None = None) -> logging.Handler:
    """Write what our modules log as JSON lines, from now on, to standard error unless told otherwise."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLineFormatter())
    logger = logging.getLogger(PACKAGE)
    logger.handlers = [handler]  # a second start replaces the first
    logger.propagate = False
    logger.setLevel(logging.INFO)
    return handler
