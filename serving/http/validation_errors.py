"""What is wrong with a request whose body does not fit, said in one sentence a column.

BentoML counts the errors and lists them as pydantic does, and logs each such request with a traceback, with which a client
could fill the log. ASGI middleware; knows nothing about recommendations.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from pydantic import ValidationError

from serving.http.request_guard import JSON_MEDIA_TYPE, App, Message, Receive, Send, error_body, send_response

MAX_LISTED_ERRORS = 5
REQUEST_MODEL_NAME = "Input"
"""What BentoML calls the type of a request; an answer that does not fit its type is an error of ours."""


class ValidationErrorFormatter:
    """Replaces the body of a 400 that lists errors; every other answer passes as it comes."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = bytearray()

        async def passed(message: Message) -> None:
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
            told = _format_errors(bytes(body))
            if told is None:
                await send(start)
                await send({"type": "http.response.body", "body": bytes(body)})
            else:
                await send_response(send, 400, JSON_MEDIA_TYPE, error_body(told))

        await self._app(scope, receive, passed)


def _format_errors(body: bytes) -> str | None:
    """The sentences; None where no errors are listed."""
    try:
        errors = json.loads(body)["detail"]
        told = [f"{_error_location(one)}{one['msg']}" for one in errors]
    except (ValueError, TypeError, KeyError):
        return None
    more = f"; and {len(told) - MAX_LISTED_ERRORS} more" if len(told) > MAX_LISTED_ERRORS else ""
    return "; ".join(told[:MAX_LISTED_ERRORS]) + more if told else None


def _error_location(error: dict[str, Any]) -> str:
    return ".".join(str(one) for one in error.get("loc", ()))[:64] + ": " if error.get("loc") else "the body: "


class ValidationLogFilter(logging.Filter):
    """Lets through what is logged of an error, unless the client's body is at fault."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is logged."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        return not (isinstance(error, ValidationError) and error.title == REQUEST_MODEL_NAME)
