"""Problem documents (RFC 9457) for all errors, also of BentoML, Starlette and the static files.

Unknown paths and methods get a suggestion, and BentoML's list of validation errors becomes one sentence per field. ASGI
application around the whole service; responses that are problem documents already, and all without an error, pass unchanged.
Headers that are not text, which BentoML's tracing cannot read, are rejected here.

Also responds to requests whose handling raises an error: ASGI middleware around the others of the service.
"""

from __future__ import annotations

import difflib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Send

from serving.errors import NotReady, UnknownTrack
from serving.http.asgi import (
    CLOSE_CONNECTION,
    DEPRECATION,
    PROBLEM_MEDIA_TYPE,
    RETRY_AFTER,
    HttpMiddleware,
    ProblemResponse,
    problem,
    problem_response,
)

MAX_NAMED_ERRORS, MAX_LISTED_ERRORS = 5, 100
"""Invalid fields in the sentence of a problem, and in its list."""
REQUEST_MODEL = "Request"
"""End of the names of request models. A response that does not match its model is a server error."""
BENTOML_MODEL = "IODescriptor"
"""What BentoML appends to the name of a model."""


logger = logging.getLogger(__name__)


class ProblemDetails(HttpMiddleware):
    """Replaces the bodies of error responses.

    Args:
        app: The wrapped application.
        methods: Path → method, for the paths that a wrong path or method may mean.
        fields: Path → fields of the request body.
    """

    def __init__(self, app: ASGIApp, methods: Mapping[str, str], fields: Mapping[str, Sequence[str]]) -> None:
        super().__init__(app)
        self._methods, self._fields = methods, fields

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        """See `HttpMiddleware.handle`."""
        if not _are_text(scope["headers"]):
            await problem_response(400, "a header is not valid UTF-8", CLOSE_CONNECTION)(scope, receive, send)
            return
        start: Message | None = None
        body = bytearray()

        async def forward(message: Message) -> None:
            nonlocal start
            is_error = message["type"] == "http.response.start" and message["status"] >= 400
            if is_error and Headers(raw=message["headers"]).get("content-type") != PROBLEM_MEDIA_TYPE:
                start = message
            elif start is None or message["type"] != "http.response.body":
                await send(message)
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    described = self._describe(scope, start["status"], bytes(body))
                    await ProblemResponse(described, start["status"], _headers(start))(scope, receive, send)

        await self._app(scope, receive, forward)

    def _describe(self, scope: Message, status: int, body: bytes) -> dict[str, Any]:
        path, method = scope["path"], scope["method"]
        try:
            content = json.loads(body)
        except ValueError:
            content = None
        stated = content.get("error") if isinstance(content, dict) else None
        if isinstance(stated, str) and status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            return problem(status, stated)
        if status == HTTPStatus.NOT_FOUND:
            return problem(status, self._describe_path(path))
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            return problem(status, self._describe_method(path, method))
        errors = content.get("detail") if isinstance(content, dict) else None
        if status == HTTPStatus.BAD_REQUEST and isinstance(errors, list) and errors:
            return _describe_fields(errors, self._fields.get(path, ()))
        text = stated if isinstance(stated, str) else body.decode("utf-8", "replace")[:200].strip()
        return problem(status, text or f"{HTTPStatus(status).phrase}: {method} {path[:80]}")

    def _describe_path(self, path: str) -> str:
        near = _nearest(path, self._methods)
        meant = f"did you mean {near}?" if near else "GET /openapi.json lists all paths"
        return f"there is no path {path[:80]!r}; {meant}"

    def _describe_method(self, path: str, method: str) -> str:
        allowed = self._methods.get(path)
        how = {"POST": "send POST with a JSON body; /docs has examples", "GET": "send GET"}.get(allowed or "", "")
        return f"{method} is not allowed for {path[:80]}; {how or 'GET /openapi.json lists the methods of every path'}"


class ValidationLogFilter(logging.Filter):
    """Drops log records of errors caused by an invalid request body.

    BentoML logs a traceback for each such request, with which a client could fill the log.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if not isinstance(error, ValidationError):
            return True
        return not error.title.removesuffix(BENTOML_MODEL).endswith(REQUEST_MODEL)


def _are_text(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    try:
        b"\n".join(value for _, value in headers).decode()
    except UnicodeDecodeError:
        return False
    return True


def _headers(start: Message) -> dict[str, str]:
    """The headers of a response whose body is replaced by a problem document."""
    headers = Headers(raw=start["headers"]).items()
    return {name: value for name, value in headers if name not in ("content-type", "content-length")} | DEPRECATION


def _describe_fields(errors: list[Any], fields: Sequence[str]) -> dict[str, Any]:
    """The problem of an invalid body: a sentence per field, and each field with its JSON pointer."""
    described = [(_location(error), _sentence(error, fields)) for error in errors if isinstance(error, dict)]
    sentences = [f"{'.'.join(where)[:64] or 'the body'}: {what}" for where, what in described]
    more = f"; and {len(sentences) - MAX_NAMED_ERRORS} more" if len(sentences) > MAX_NAMED_ERRORS else ""
    listed = [
        {"pointer": "".join(f"/{one[:64]}" for one in where), "detail": what}
        for where, what in described[:MAX_LISTED_ERRORS]
    ]
    return problem(HTTPStatus.BAD_REQUEST, "; ".join(sentences[:MAX_NAMED_ERRORS]) + more, errors=listed)


def _location(error: Mapping[str, Any]) -> list[str]:
    return [str(one) for one in error.get("loc", ())]


def _sentence(error: Mapping[str, Any], fields: Sequence[str]) -> str:
    if error.get("type") == "extra_forbidden":
        near = _nearest(_location(error)[-1], fields)
        return f"unknown field; did you mean `{near}`?" if near else f"unknown field; allowed are {', '.join(fields)}"
    return str(error.get("msg", "is not valid"))


def _nearest(name: str, allowed: Iterable[str]) -> str:
    """The allowed name that is a little different; "" if none is."""
    return next(iter(difflib.get_close_matches(name[:64], list(allowed), n=1)), "")


class CatchAll(HttpMiddleware):
    """Responds to errors that are raised by the middlewares inside, and with 500 to an exception that nobody expects.

    Such an exception is logged with its traceback, and the connection is closed. BentoML's timeout middleware, which is outside,
    waits for the first message of a response: without this class it would wait its 30 s, and nobody would see the traceback.
    """

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        """See `HttpMiddleware.handle`."""
        is_started = False

        async def forward(message: Message) -> None:
            nonlocal is_started
            is_started = True
            await send(message)

        try:
            await self._app(scope, receive, forward)
        except HTTPException as error:
            await problem_response(error.status_code, error.detail, error.headers)(scope, receive, send)
        except UnknownTrack as error:
            await problem_response(404, str(error))(scope, receive, send)
        except NotReady as error:
            await problem_response(503, str(error), RETRY_AFTER)(scope, receive, send)
        except Exception:
            if is_started:  # the server logs it and ends the connection
                raise
            logger.exception("%s %s failed", scope["method"], scope["path"][:80])
            why = "the request failed unexpectedly; the log of the service has the traceback"
            await problem_response(500, why, CLOSE_CONNECTION)(scope, receive, send)
