"""Request guard: accepts JSON bodies within limits only. ASGI middleware; independent of recommendations."""

from __future__ import annotations

from serving.http.asgi import (
    JSON_MEDIA_TYPE,
    App,
    HttpError,
    HttpMiddleware,
    Message,
    Receive,
    Send,
    header_values,
)
from serving.http.request_body import BodyReader


class RequestGuard(HttpMiddleware):
    """Responds with 400, 408, 413 and 415; passes other requests on after reading the body, as plain JSON.

    BentoML chooses the deserializer by the content type, and one of them is pickle. So a request passes on with the content
    type that was checked, and no other.

    Args:
        app: The wrapped application.
        bodies: Receives bodies.
    """

    def __init__(self, app: App, bodies: BodyReader) -> None:
        super().__init__(app)
        self._bodies = bodies

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        """See `HttpMiddleware.handle`."""
        if scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        _check_content_type(scope)
        body = await self._bodies.read(scope, receive)
        await self._app(_with_json_content_type(scope), _replay_body(body, receive), send)


def _check_content_type(scope: Message) -> None:
    """Accept JSON, and no content type without a body.

    Raises:
        HttpError: The content type is another one.
    """
    types = header_values(scope, b"content-type")
    if len(types) > 1:
        raise HttpError(400, f"{len(types)} headers Content-Type; send one")
    if not types:
        if _has_body(scope):
            raise HttpError(415, "no content type; send Content-Type: application/json")
        return
    if not types[0].isascii():
        raise HttpError(400, "header Content-Type has bytes outside ASCII; send application/json")
    media_type = types[0].split(b";")[0].strip().lower()
    if media_type != JSON_MEDIA_TYPE:
        raise HttpError(415, f"content type {media_type.decode()[:80]!r}; send application/json")


def _has_body(scope: Message) -> bool:
    lengths = header_values(scope, b"content-length")
    return bool(header_values(scope, b"transfer-encoding")) or any(length.strip(b" 0") for length in lengths)


def _with_json_content_type(scope: Message) -> Message:
    others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
    return {**scope, "headers": [*others, (b"content-type", JSON_MEDIA_TYPE)]}


def _replay_body(body: bytes, receive: Receive) -> Receive:
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay
