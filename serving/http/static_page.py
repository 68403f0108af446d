"""The listening page at `/` and its files below `/page/`: ASGI middleware that knows nothing about what the page asks."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from serving.http.request_guard import App, Message, Receive, Send

FOLDER = Path(__file__).parents[1] / "page"
FILES = "/page"


class ListeningPage:
    """Serves the page, passes every other request on."""

    def __init__(self, app: App) -> None:
        self._app = app
        index = (FOLDER / "index.html").read_text()
        headers = {
            "Content-Security-Policy": _policy(index),
            "X-Content-Type-Options": "nosniff",
            # Whoever has the sound learns nothing of who listens here
            "Referrer-Policy": "no-referrer",
        }

        def page(_: Request) -> Response:
            return HTMLResponse(index, headers=headers)

        self._page = Starlette(routes=[Route("/", page), Mount(FILES, StaticFiles(directory=FOLDER))])

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        is_read = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if is_read and (scope["path"] == "/" or scope["path"].startswith(f"{FILES}/")):
            await self._page(dict(scope), receive, send)
        else:
            await self._app(scope, receive, send)


def _policy(index: str) -> str:
    """Nothing from other hosts but what is heard, and no script but our files and the inline import map."""
    inline = re.findall(r'<script type="importmap">(.*?)</script>', index, flags=re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in inline]
    scripts = " ".join(["'self'", *(f"'sha256-{one}'" for one in hashes)])
    media = "img-src 'self' data:; media-src 'self' https:"
    return f"default-src 'self'; script-src {scripts}; {media}; base-uri 'none'; frame-ancestors 'none'"
