"""Tracks, artists, albums and playlists by id, `GET /playlists/{playlist_id}`: ASGI middleware.

BentoML's methods answer POST only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import cast, get_args

import anyio
from anyio import CapacityLimiter
from pydantic import BaseModel

from serving.errors import UnknownTrack
from serving.http.asgi import (
    JSON_MEDIA_TYPE,
    RETRY_AFTER,
    App,
    HttpError,
    HttpMiddleware,
    Message,
    Receive,
    Send,
    send_response,
)
from serving.response_schemas import EntryKind

KINDS: tuple[EntryKind, ...] = get_args(EntryKind)
PATH = re.compile(rf"/({'|'.join(KINDS)})s/(.+)", re.DOTALL)
PATHS = tuple(f"/{kind}s/{{{kind}_id}}" for kind in KINDS)
"""Paths in the API description."""
MAX_WAITING = 64


class CatalogEntries(HttpMiddleware):
    """Answers GET for entries of the catalog and passes every other request on.

    Args:
        app: The wrapped application.
        describe: Returns the entry of a kind and an id; called in a thread.
    """

    def __init__(self, app: App, describe: Callable[[EntryKind, str], BaseModel]) -> None:
        super().__init__(app)
        self._describe = describe
        self._limiter: CapacityLimiter | None = None  # made in the event loop

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        """See `HttpMiddleware.handle`."""
        match = PATH.fullmatch(scope["path"]) if scope["method"] in ("GET", "HEAD") else None
        if match is None:
            await self._app(scope, receive, send)
            return
        self._limiter = self._limiter or CapacityLimiter(1)
        if self._limiter.statistics().tasks_waiting >= MAX_WAITING:
            raise HttpError(503, f"{MAX_WAITING} requests for the catalog wait already; retry in a second", RETRY_AFTER)
        try:
            kind, name = match.groups()
            entry = await anyio.to_thread.run_sync(self._describe, cast(EntryKind, kind), name, limiter=self._limiter)
        except UnknownTrack as error:
            raise HttpError(404, str(error)) from error
        content = b"" if scope["method"] == "HEAD" else entry.model_dump_json().encode()
        await send_response(send, 200, JSON_MEDIA_TYPE, content)
