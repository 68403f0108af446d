"""Structured log: one JSON object per line, with the id of the current request.

`extra={"fields": {...}}` adds fields to the line. Independent of requests except their id. The lines of BentoML and uvicorn
stay text; control characters in them are escaped, so that a client cannot forge a line with the path of a request.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request that this thread handles; empty without one."""

PACKAGE = "serving"
SERVER_LOGGERS = ("bentoml", "uvicorn.error")
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


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


class EscapeControlCharacters(logging.Filter):
    """Escapes control characters and line separators in the message of a record, but not in its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Escape the message; every record is logged."""
        message = record.getMessage().rstrip("\n")
        record.msg, record.args = CONTROL_CHARACTERS.sub(_escape, message), ()
        return True


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def configure_logging(stream: TextIO | None = None) -> logging.Handler:
    """Write the log of the package `serving` as JSON lines to `stream` (default: standard error); escape that of the server."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLineFormatter())
    logger = logging.getLogger(PACKAGE)
    logger.handlers = [handler]  # a second call replaces the first handler
    logger.propagate = False
    logger.setLevel(logging.INFO)
    for server_handler in {one for name in SERVER_LOGGERS for one in logging.getLogger(name).handlers}:
        if not any(isinstance(one, EscapeControlCharacters) for one in server_handler.filters):
            server_handler.addFilter(EscapeControlCharacters())
    return handler
