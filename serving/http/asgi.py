"""Types and small functions that the ASGI middlewares share: headers of requests, complete responses, the client's name.

Errors are problem documents (RFC 9457).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any

JSON_MEDIA_TYPE = b"application/json"
PROBLEM_MEDIA_TYPE = b"application/problem+json"
RETRY_AFTER_S = 1
RETRY_AFTER = (b"retry-after", str(RETRY_AFTER_S).encode())
"""Header of responses to requests that may be sent again."""
CLOSE_CONNECTION = (b"connection", b"close")
DEPRECATION = (b"deprecation", b"@1796083200")
"""Header of problem documents (RFC 9745): their member `error` goes with the next version."""
CODES = {
    400: "invalid_request",
    401: "unauthorized",
    408: "body_too_slow",
    413: "body_too_large",
    422: "events_rejected",
    500: "internal_error",
    503: "unavailable",
}
"""Codes of problem documents that are not the phrase of the status."""
TITLES = {413: "Request Entity Too Large", 416: "Requested Range Not Satisfiable", 422: "Unprocessable Entity"}
"""Titles of problem documents, of which Python 3.13 has newer ones."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class HttpMiddleware(ABC):
    """ASGI middleware that handles HTTP requests, and passes other connections on.

    Args:
        app: The wrapped application.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        await (self.handle if scope["type"] == "http" else self._app)(scope, receive, send)

    @abstractmethod
    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one HTTP request."""


class HttpError(Exception):
    """A request that is answered with a problem document: `CatchAll` sends it, whichever middleware raises it."""

    def __init__(self, status: int, detail: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def header_values(scope: Message, name: bytes) -> list[bytes]:
    """All values of a header of a request, in order; ASGI has all names in lower case."""
    return [value for key, value in scope["headers"] if key == name]


def client_address(scope: Message) -> str:
    """The address that a request came from; "" on a Unix socket."""
    client = scope.get("client")
    return client[0] if client else ""


def set_client(scope: Message, client: str, charge: Callable[[int], None] = lambda _: None) -> None:
    """Store the name of the authenticated client, and how its rate limit is charged, for the middlewares inside."""
    scope.setdefault("state", {}).update(client=client, charge=charge)


def charge_client(scope: Message, requests: int) -> None:
    """Charge the rate limit of the client for so many further requests."""
    scope.get("state", {}).get("charge", lambda _: None)(requests)


def get_client(scope: Message) -> str:
    """The name of the authenticated client; its address without authentication."""
    return scope.get("state", {}).get("client") or client_address(scope)


def problem(status: int, detail: str, code: str = "", **members: Any) -> dict[str, Any]:
    """A problem document (RFC 9457) with further `members`; `error` repeats `detail` for clients of earlier versions."""
    phrase = HTTPStatus(status).phrase
    code = code or CODES.get(status) or phrase.lower().replace(" ", "_")
    title = TITLES.get(status) or phrase
    document = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "error": detail,
    }
    return {**document, **members}


async def send_response(
    send: Send, status: int, kind: bytes, body: bytes, more: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """Send a complete response, with `more` headers."""
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_error(send: Send, status: int, error: str, *more: tuple[bytes, bytes]) -> None:
    """Send an error response as a problem document, with `more` headers."""
    await send_response(
        send, status, PROBLEM_MEDIA_TYPE, json.dumps(problem(status, error)).encode(), (DEPRECATION, *more)
    )
