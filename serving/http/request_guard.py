"""Request guard: accepts JSON bodies within limits only.

Also serves the API page, its OpenAPI document and `/status`. BentoML's own page loads a tag manager and badges from the
network; this one is the same Swagger UI from the installed package without external resources. ASGI middleware;
independent of recommendations.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from serving.http.asgi import (
    JSON_MEDIA_TYPE,
    App,
    HttpError,
    HttpMiddleware,
    Message,
    Receive,
    Send,
    header_values,
    send_response,
)
from serving.http.request_body import BodyReader

PAGE_PATH = "/docs"
OPENAPI_PATHS = ("/openapi.json", "/docs.json")
"""Paths of the OpenAPI document: the usual one, and BentoML's."""

PAGE = b"""<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="UTF-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <style>
      /* Swagger UI lays tables out side by side, which a phone has no room for. */
      .swagger-ui :is(table, pre, .parameters-col_description) { max-width: 100%; overflow-wrap: anywhere; }
      @media (max-width: 40rem) {
        .swagger-ui :is(.opblock-summary-description, .authorization__btn, .response-col_links, .responses-header) { display: none; }
        .swagger-ui .responses-table :is(tbody, tr, td) { display: block; width: 100%; padding-top: .2rem; }
        .swagger-ui :is(.wrapper, .opblock-body .opblock-section-header, .responses-inner) { padding: 0 .6rem; }
      }
    </style>
    <title>Segue recommender</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="./static_content/swagger-ui.css">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="./static_content/swagger-ui-bundle.js" charset="UTF-8"></script>
    <script>
      SwaggerUIBundle({
        url: "./openapi.json", dom_id: "#swagger-ui", presets: [SwaggerUIBundle.presets.apis],
        docExpansion: "list", defaultModelsExpandDepth: -1, defaultModelExpandDepth: 4, displayRequestDuration: true
      });
    </script>
  </body>
</html>
"""


class RequestGuard(HttpMiddleware):
    """Responds with 400, 408, 413 and 415; passes other requests on after reading the body, as plain JSON.

    BentoML chooses the deserializer by the content type, and one of them is pickle. So a request passes on with the content
    type that was checked, and no other.

    Args:
        app: The wrapped application.
        description: Returns the OpenAPI document; called for its first request only.
        bodies: Receives bodies.
        status: Returns the content of `/status`.
    """

    def __init__(
        self,
        app: App,
        description: Callable[[], dict[str, Any]],
        bodies: BodyReader,
        status: Callable[[], dict[str, Any]],
    ) -> None:
        super().__init__(app)
        self._bodies = bodies
        # The document has no limit of requests and takes tens of milliseconds of the event loop.
        encode_description = functools.cache(lambda: json.dumps(description()).encode())
        self._documents: dict[str, Callable[[], bytes]] = {
            PAGE_PATH: lambda: PAGE,
            **dict.fromkeys(OPENAPI_PATHS, encode_description),
            "/status": lambda: json.dumps(status()).encode(),
        }

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        """See `HttpMiddleware.handle`."""
        if scope["method"] in ("GET", "HEAD") and scope["path"] in self._documents:
            media_type = b"text/html; charset=utf-8" if scope["path"] == PAGE_PATH else JSON_MEDIA_TYPE
            content = b"" if scope["method"] == "HEAD" else self._documents[scope["path"]]()
            await send_response(send, 200, media_type, content)
            return
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
