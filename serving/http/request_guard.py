"""Request guard: accepts JSON bodies within limits only. ASGI middleware; independent of recommendations."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Send

from serving.http.asgi import HttpMiddleware
from serving.http.request_body import BodyReader


class RequestGuard(HttpMiddleware):
    """Responds with 400, 408, 413 and 415; passes other requests on after reading the body, as plain JSON.

    BentoML chooses the deserializer by the content type, and one of them is pickle. So a request passes on with the content
    type that was checked, and no other.

    Args:
        app: The wrapped application.
        bodies: Receives bodies.
    """

    def __init__(self, app: ASGIApp, bodies: BodyReader) -> None:
        super().__init__(app)
        self._bodies = bodies

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        """See `HttpMiddleware.handle`."""
        if scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        _check_content_type(Headers(scope=scope))
        body = await self._bodies.read(scope, receive)
        others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
        scope = {**scope, "headers": [*others, (b"content-type", b"application/json")]}
        await self._app(scope, _replay_body(body, receive), send)


def _check_content_type(headers: Headers) -> None:
    """Accept JSON, and no content type without a body.

    Raises:
        HTTPException: The content type is another one.
    """
    types = headers.getlist("content-type")
    if len(types) > 1:
        raise HTTPException(400, f"{len(types)} headers Content-Type; send one")
    if not types:
        if "transfer-encoding" in headers or any(one.strip(" 0") for one in headers.getlist("content-length")):
            raise HTTPException(415, "no content type; send Content-Type: application/json")
        return
    if not types[0].isascii():
        raise HTTPException(400, "header Content-Type has bytes outside ASCII; send application/json")
    media_type = types[0].split(";")[0].strip().lower()
    if media_type != "application/json":
        raise HTTPException(415, f"content type {media_type[:80]!r}; send application/json")


def _replay_body(body: bytes, receive: Receive) -> Receive:
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay
