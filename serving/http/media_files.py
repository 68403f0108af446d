"""Previews and covers of tracks below `/media/`: ASGI middleware.

Answers GET and HEAD with ETag, and one byte range, which players send to seek. Independent of releases.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import CapacityLimiter
from starlette.datastructures import Headers
from starlette.responses import FileResponse
from starlette.staticfiles import NotModifiedResponse, StaticFiles

from serving.errors import UnknownTrack
from serving.http.asgi import (
    RETRY_AFTER,
    RETRY_AFTER_S,
    App,
    HttpError,
    HttpMiddleware,
    Message,
    Receive,
    Send,
    header_values,
)
from serving.response_schemas import COVER, PREVIEW

if TYPE_CHECKING:
    from serving.releases.track_lookup import TrackLookup

PREFIX = "/media/"
PATH = re.compile(rf"{PREFIX}({PREVIEW}|{COVER})/(.+)", re.DOTALL)
PATHS = (f"{PREFIX}{PREVIEW}/{{track_id}}", f"{PREFIX}{COVER}/{{track_id}}")
"""Paths in the API description."""

MEDIA_TYPES = {
    PREVIEW: {
        ".mp3": "audio/mpeg",
        ".flac": "audio/flac",
        ".ogg": "audio/ogg",
        ".oga": "audio/ogg",
        ".opus": "audio/ogg",
        ".m4a": "audio/mp4",
        ".mp4": "audio/mp4",
        ".wav": "audio/wav",
        ".aif": "audio/aiff",
        ".aiff": "audio/aiff",
    },
    COVER: {
        ".jpg": "image/jpeg",
        ".jpeg": "image/jpeg",
        ".png": "image/png",
        ".webp": "image/webp",
        ".gif": "image/gif",
        ".bmp": "image/bmp",
    },
}
"""Content type of each file extension; other files are not served."""
MAX_CONCURRENT, MAX_WAITING = 2, 64
"""Files that are looked for, and if necessary rendered, at the same time."""
MAX_AGE_S = 3600
SINGLE_RANGE = re.compile(rb"bytes=(\d{1,18}-\d{0,18}|-\d{1,18})")

logger = logging.getLogger(__name__)


class MediaFiles(HttpMiddleware):
    """Serves media and passes every other request on.

    Args:
        app: The wrapped application.
        tracks: Returns what finds files; called in a thread.
        on_rejected: Called with the path of each request that is rejected because too many wait.
    """

    def __init__(self, app: App, tracks: Callable[[], TrackLookup], on_rejected: Callable[[str], None]) -> None:
        super().__init__(app)
        self._tracks, self._on_rejected = tracks, on_rejected
        self._limiter: CapacityLimiter | None = None  # made in the event loop
        self._in_progress = 0

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        """See `HttpMiddleware.handle`."""
        match = PATH.fullmatch(scope["path"]) if scope["method"] in ("GET", "HEAD") else None
        if match is None:
            await self._app(scope, receive, send)
            return
        kind, track_id = match.groups()
        if self._in_progress >= MAX_CONCURRENT + MAX_WAITING:
            self._on_rejected(PREFIX + kind)
            raise HttpError(503, f"too many media are being read; retry in {RETRY_AFTER_S} s", RETRY_AFTER)
        self._limiter = self._limiter or CapacityLimiter(MAX_CONCURRENT)
        self._in_progress += 1
        try:
            response = await anyio.to_thread.run_sync(self._open, kind, track_id, limiter=self._limiter)
        except (UnknownTrack, FileNotFoundError) as error:
            raise HttpError(404, str(error)) from error
        except OSError as error:  # as a full disk, to which nothing can be rendered
            logger.exception("%s of %s cannot be read", kind, track_id[:80])
            why = f"the {kind} cannot be read at the moment; retry later"
            raise HttpError(503, why, (b"retry-after", b"60")) from error
        finally:
            self._in_progress -= 1
        if StaticFiles().is_not_modified(response.headers, Headers(scope=dict(scope))):
            await NotModifiedResponse(response.headers)(scope, receive, send)
        else:
            await response(_without_other_ranges(scope), receive, send)

    def _open(self, kind: str, track_id: str) -> FileResponse:
        """The response with the file.

        Raises:
            UnknownTrack: There is no such track.
            FileNotFoundError: The track has no file of this kind; the message does not name the file.
            NotReady: No release is in service.
        """
        file = self._tracks().find_media(kind, track_id)
        media_type = MEDIA_TYPES[kind].get(file.suffix.lower())
        status = None if media_type is None else _status_of(file)
        if status is None:
            raise FileNotFoundError(f"there is no {kind} of the track {track_id[:80]!r}")
        headers = {
            "Cache-Control": f"private, max-age={MAX_AGE_S}",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'",
        }
        return FileResponse(file, headers=headers, media_type=media_type, stat_result=status)


def _status_of(file: Path) -> os.stat_result | None:
    """The status of a regular file; None if it is missing, unreadable or something else."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) and os.access(file, os.R_OK) else None


def _without_other_ranges(scope: Message) -> Message:
    """The request without its header Range unless it is one range of bytes; such a request gets the whole file."""
    ranges = header_values(scope, b"range")
    if len(ranges) == 1 and SINGLE_RANGE.fullmatch(ranges[0]):
        return scope
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"range"]}
