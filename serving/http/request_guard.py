"""Request guard: accepts JSON bodies of bounded size only, and describes invalid ones in one sentence per field.

Also serves the API page, its OpenAPI document and `/status`. BentoML's own page loads a tag manager and badges from the
network; this one is the same Swagger UI from the installed package without external resources. ASGI middleware; knows nothing
about recommendations.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from pydantic import ValidationError

MAX_BODY_BYTES = 1 << 20
JSON_MEDIA_TYPE = b"application/json"
MAX_LISTED_ERRORS = 5
REQUEST_MODEL_NAME = "Input"
"""BentoML's name of request models. A response that does not match its model is a server error."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

PAGE = b"""<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="UTF-8">
    <title>Segue recommender</title>
    <link rel="stylesheet" href="./static_content/swagger-ui.css">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="./static_content/swagger-ui-bundle.js" charset="UTF-8"></script>
    <script>
      SwaggerUIBundle({
        url: "./docs.json", dom_id: "#swagger-ui", presets: [SwaggerUIBundle.presets.apis],
        docExpansion: "list", defaultModelsExpandDepth: -1, defaultModelExpandDepth: 4, displayRequestDuration: true
      });
    </script>
  </body>
</html>
"""


class RequestGuard:
    """Responds with 413 and 415; passes other requests on after reading the body.

    Args:
        app: The wrapped application.
        description: Returns the OpenAPI document.
        status: Returns the content of `/status`.
        max_body_bytes: Largest accepted body.
    """

    def __init__(
        self,
        app: App,
        description: Callable[[], dict[str, Any]],
        status: Callable[[], dict[str, Any]] = dict,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._app, self._max_body_bytes = app, max_body_bytes
        self._documents = {"/docs.json": description, "/status": status}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] in ("GET", "HEAD") and (scope["path"] == "/docs" or scope["path"] in self._documents):
            is_page, is_head = scope["path"] == "/docs", scope["method"] == "HEAD"
            content = PAGE if is_page else json.dumps(self._documents[scope["path"]]()).encode()
            await send_response(
                send, 200, b"text/html; charset=utf-8" if is_page else JSON_MEDIA_TYPE, b"" if is_head else content
            )
            return
        if scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        kind = dict(scope["headers"]).get(b"content-type", JSON_MEDIA_TYPE).split(b";")[0].strip().lower()
        if kind != JSON_MEDIA_TYPE:
            await _refuse(send, 415, f"content type {kind.decode('latin-1')[:80]!r}; send application/json")
            return
        body = await self._body(receive)
        if body is None:
            await _refuse(
                send, 413, f"the body is larger than {self._max_body_bytes} bytes; send fewer events per request"
            )
            return
        await self._app(scope, _replay_body(body, receive), send)

    async def _body(self, receive: Receive) -> bytes | None:
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._max_body_bytes:
                return None
            if message["type"] != "http.request" or not message.get("more_body", False):
                return bytes(body)


class ValidationErrorFormatter:
    """Replaces the body of a 400 response that lists errors by readable text; passes other responses unchanged.

    BentoML returns pydantic's list of errors.
    """

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


class ValidationLogFilter(logging.Filter):
    """Drops log records of errors caused by an invalid request body.

    BentoML logs a traceback for each such request, with which a client could fill the log.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        return not (isinstance(error, ValidationError) and error.title == REQUEST_MODEL_NAME)


def error_body(error: str) -> bytes:
    """The JSON body of an error response."""
    return json.dumps({"error": error}).encode()


async def send_response(
    send: Send, status: int, kind: bytes, body: bytes, more: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """Send a complete response, with `more` headers."""
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _replay_body(body: bytes, receive: Receive) -> Receive:
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


async def _refuse(send: Send, status: int, error: str) -> None:
    await send_response(send, status, JSON_MEDIA_TYPE, error_body(error))


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
