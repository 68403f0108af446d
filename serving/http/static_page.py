"""Listening page at `/`, its files below `/page/`: ASGI middleware.

Besides the files of `serving/page`, it serves the message catalogs (`messages/<language>.json`) and the scene table
(`scenes.json`). The path of a file contains the version of all of them, so that clients keep files for ever. Independent of the
requests that the page sends.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from recommender.slate.scene_settings import SCENES
from serving.http.asgi import App, HttpMiddleware, Message, Receive, Send
from serving.messages import MESSAGES_FOLDER

FOLDER = Path(__file__).parents[1] / "page"
FILES = "/page"
PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    # The service's own files, and audio over https.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; media-src 'self' https:; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Audio hosts must not learn the URL of the page, which contains the user id.
    "Referrer-Policy": "no-referrer",
}
MIN_GZIP_BYTES = 500


class ListeningPage(HttpMiddleware):
    """Serves the page and passes every other request on."""

    def __init__(self, app: App) -> None:
        super().__init__(app)
        files = f"{FILES}/{_version()}"
        index = (FOLDER / "index.html").read_text().replace("./page/", f".{files}/")
        routes = [
            Route("/", lambda _: HTMLResponse(index, headers=PAGE_HEADERS)),
            Route(f"{files}/scenes.json", lambda _: JSONResponse(_scene_table())),
            Mount(f"{files}/messages", _Unchanging(directory=MESSAGES_FOLDER)),
            Mount(files, _Unchanging(directory=FOLDER)),
        ]
        self._page = Starlette(routes=routes, middleware=[Middleware(GZipMiddleware, minimum_size=MIN_GZIP_BYTES)])

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        """See `HttpMiddleware.handle`."""
        is_read = scope["method"] in ("GET", "HEAD")
        if is_read and (scope["path"] == "/" or scope["path"].startswith(f"{FILES}/")):
            await self._page(dict(scope), receive, send)
        else:
            await self._app(scope, receive, send)


class _Unchanging(StaticFiles):
    """Files that clients may keep for ever."""

    def file_response(self, *args: object, **options: object) -> Response:
        response = super().file_response(*args, **options)  # type: ignore[arg-type]
        MutableHeaders(raw=response.raw_headers)["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def _version() -> str:
    """Digest of everything below the path of the files."""
    digest = hashlib.blake2b(json.dumps(_scene_table()).encode(), digest_size=8)
    for path in sorted([*FOLDER.rglob("*.*"), *MESSAGES_FOLDER.rglob("*.json")]):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _scene_table() -> list[dict[str, object]]:
    """The scene table as the page needs it."""
    return [{"name": scene.name, "target_type": scene.target_type} for scene in SCENES.values()]
