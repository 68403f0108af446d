"""Previews and covers of tracks below `/media/`.

Answers GET and HEAD with ETag, and one byte range, which players send to seek. Independent of releases.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.staticfiles import NotModifiedResponse, StaticFiles

from serving.errors import UnknownTrack
from serving.http.admission import ThreadQueue
from serving.response_schemas import COVER, PREVIEW

if TYPE_CHECKING:
    from serving.releases.track_lookup import TrackLookup

PATHS = tuple(f"/media/{kind}/{{track_id}}" for kind in (PREVIEW, COVER))
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
MAX_CONCURRENT = 2
"""Files that are looked for, and if necessary rendered, at the same time."""
MAX_AGE_S = 3600
SINGLE_RANGE = re.compile(r"bytes=(\d{1,18}-\d{0,18}|-\d{1,18})")

logger = logging.getLogger(__name__)


def media_routes(tracks: Callable[[], TrackLookup], on_rejected: Callable[[str], None]) -> list[Route]:
    """Routes of the media.

    Args:
        tracks: Returns what finds files.
        on_rejected: Called with the name of the queue for each request that is rejected because too many wait.
    """
    queue = ThreadQueue("media", MAX_CONCURRENT, on_rejected)

    async def respond(kind: str, request: Request) -> Response:
        track_id = request.path_params["track_id"]
        try:
            response = await queue.run(_open, tracks(), kind, track_id)
        except OSError as error:  # as a full disk, to which nothing can be rendered
            logger.exception("%s of %s cannot be read", kind, track_id[:80])
            why = f"the {kind} cannot be read at the moment; retry later"
            raise HTTPException(503, why, {"Retry-After": "60"}) from error
        if StaticFiles().is_not_modified(response.headers, request.headers):
            return NotModifiedResponse(response.headers)
        ranges = request.headers.getlist("range")
        if len(ranges) != 1 or not SINGLE_RANGE.fullmatch(ranges[0]):  # such a request gets the whole file
            request.scope["headers"] = [one for one in request.scope["headers"] if one[0] != b"range"]
        return response

    return [Route(f"/media/{kind}/{{track_id:path}}", partial(respond, kind)) for kind in MEDIA_TYPES]


def _open(tracks: TrackLookup, kind: str, track_id: str) -> FileResponse:
    """The response with the file.

    Raises:
        UnknownTrack: There is no such track, or it has no file of this kind; the message does not name the file.
        NotReady: No release is in service.
    """
    file = tracks.find_media(kind, track_id)
    media_type = MEDIA_TYPES[kind].get(file.suffix.lower())
    status = None if media_type is None else _status_of(file)
    if status is None:
        raise UnknownTrack(f"there is no {kind} of the track {track_id[:80]!r}")
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
