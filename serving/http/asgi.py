"""Types and small functions that the ASGI middlewares share: the client's name, and errors, which are problem documents (RFC 9457).

Middlewares and routes raise Starlette's `HTTPException`; `serving.http.problems.CatchAll` answers with its problem document.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Send

PROBLEM_MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
RETRY_AFTER = {"Retry-After": str(RETRY_AFTER_S)}
"""Header of responses to requests that may be sent again."""
CLOSE_CONNECTION = {"Connection": "close"}
DEPRECATION = {"Deprecation": "@1796083200"}
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


class HttpMiddleware(ABC):
    """ASGI middleware that handles HTTP requests, and passes other connections on.

    Args:
        app: The wrapped application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        await (self.handle if scope["type"] == "http" else self._app)(scope, receive, send)

    @abstractmethod
    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one HTTP request."""


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


class ProblemResponse(JSONResponse):
    """A response with a problem document, in ASCII, because the name of a field may have surrogates, which UTF-8 does not have."""

    media_type = PROBLEM_MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        """The body."""
        return json.dumps(content).encode()


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> Response:
    """A response with the problem document of `problem`."""
    return ProblemResponse(problem(status, detail, **members), status, {**DEPRECATION, **(headers or {})})
