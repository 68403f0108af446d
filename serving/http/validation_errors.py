"""Readable errors for invalid request bodies: one sentence per field.

BentoML returns pydantic's list of errors and logs a traceback for each such request, with which a client could fill the log.
ASGI middleware; knows nothing about recommendations.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from pydantic import ValidationError

from serving.http.request_guard import JSON_MEDIA_TYPE, App, Message, Receive, Send, error_body, send_response

MAX_LISTED_ERRORS = 5
REQUEST_MODEL_NAME = "Input"
"""BentoML's name of request models. A response that does not match its model is a server error."""


class ValidationErrorFormatter:
    """Replaces the body of a 400 response that lists errors; passes other responses unchanged."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = bytearray()

        async def forward(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] == 400:
                start = message
                return
            if start is None or message["type"] != "http.response.body":
                await send(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body", False):
                return
            error = _format_errors(bytes(body))
            if error is None:
                await send(start)
                await send({"type": "http.response.body", "body": bytes(body)})
            else:
                await send_response(send, 400, JSON_MEDIA_TYPE, error_body(error))

        await self._app(scope, receive, forward)


def _format_errors(body: bytes) -> str | None:
    """The errors as sentences; None if the body does not list errors."""
    try:
        errors = json.loads(body)["detail"]
        sentences = [f"{_error_location(one)}{one['msg']}" for one in errors]
    except (ValueError, TypeError, KeyError):
        return None
    more = f"; and {len(sentences) - MAX_LISTED_ERRORS} more" if len(sentences) > MAX_LISTED_ERRORS else ""
    return "; ".join(sentences[:MAX_LISTED_ERRORS]) + more if sentences else None


def _error_location(error: dict[str, Any]) -> str:
    return ".".join(str(one) for one in error.get("loc", ()))[:64] + ": " if error.get("loc") else "the body: "


class ValidationLogFilter(logging.Filter):
    """Drops log records of errors caused by an invalid request body."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        return not (isinstance(error, ValidationError) and error.title == REQUEST_MODEL_NAME)
