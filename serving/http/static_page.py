"""Listening page at `/`, its files below `/page/`.

Besides the files of `serving/page`, it serves the message catalogs (`messages/<language>.json`) and the scene table
(`scenes.json`). The path of a file contains the version of all of them, so that clients keep files for ever. Independent of the
requests that the page sends.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from recommender.slate.scene_settings import SCENES
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


def page_routes() -> list[BaseRoute]:
    """Routes of the page and its files."""
    files, compressed = f"{FILES}/{_version()}", [Middleware(GZipMiddleware, minimum_size=MIN_GZIP_BYTES)]
    index = (FOLDER / "index.html").read_text().replace("./page/", f".{files}/")
    loaded = [
        Route("/scenes.json", lambda _: JSONResponse(_scene_table())),
        Mount("/messages", _Unchanging(directory=MESSAGES_FOLDER)),
        Mount("/", _Unchanging(directory=FOLDER)),
    ]
    return [
        Route("/", lambda _: HTMLResponse(index, headers=PAGE_HEADERS), middleware=compressed),
        Mount(files, routes=loaded, middleware=compressed),
    ]


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
