"""Listening page at `/`, its files below `/page/`: ASGI middleware.

Besides the files of `serving/page`, it serves the message catalogs (`/page/messages/<language>.json`) and the scene table
(`/page/scenes.json`). Independent of the requests that the page sends.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from recommender.slate.scene_settings import SCENES
from serving.http.asgi import App, HttpMiddleware, Message, Receive, Send
from serving.messages import MESSAGES_FOLDER

FOLDER = Path(__file__).parents[1] / "page"
FILES = "/page"


class ListeningPage(HttpMiddleware):
    """Serves the page and passes every other request on."""

    def __init__(self, app: App) -> None:
        super().__init__(app)
        index = (FOLDER / "index.html").read_text()
        headers = {
            "Content-Security-Policy": _content_security_policy(index),
            "X-Content-Type-Options": "nosniff",
            # Audio hosts must not learn the URL of the page, which contains the user id.
            "Referrer-Policy": "no-referrer",
        }

        def page(_: Request) -> Response:
            return HTMLResponse(index, headers=headers)

        routes = [
            Route("/", page),
            Route(f"{FILES}/scenes.json", _scenes),
            Mount(f"{FILES}/messages", StaticFiles(directory=MESSAGES_FOLDER)),
            Mount(FILES, StaticFiles(directory=FOLDER)),
        ]
        self._page = Starlette(routes=routes)

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        """See `HttpMiddleware.handle`."""
        is_read = scope["method"] in ("GET", "HEAD")
        if is_read and (scope["path"] == "/" or scope["path"].startswith(f"{FILES}/")):
            await self._page(dict(scope), receive, send)
        else:
            await self._app(scope, receive, send)


def _scenes(_: Request) -> Response:
    """The scene table as the page needs it."""
    return JSONResponse(
        [
            {"name": scene.name, "target_type": scene.target_type, "is_stream": scene.excludes_session_plays}
            for scene in SCENES.values()
        ]
    )


def _content_security_policy(index: str) -> str:
    """A policy that allows the service's own files, the inline import map and audio over https, and nothing else."""
    inline = re.findall(r'<script type="importmap">(.*?)</script>', index, flags=re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in inline]
    scripts = " ".join(["'self'", *(f"'sha256-{one}'" for one in hashes)])
    media = "img-src 'self' data:; media-src 'self' https:"
    return f"default-src 'self'; script-src {scripts}; {media}; base-uri 'none'; frame-ancestors 'none'"
