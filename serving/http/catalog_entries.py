"""Tracks, artists, albums and playlists by id, `GET /playlists/{playlist_id}`.

BentoML's methods answer POST only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import get_args

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.http.admission import ThreadQueue
from serving.response_schemas import EntryKind

KINDS: tuple[EntryKind, ...] = get_args(EntryKind)
PATHS = tuple(f"/{kind}s/{{{kind}_id}}" for kind in KINDS)
"""Paths in the API description."""


def entry_routes(describe: Callable[[EntryKind, str], BaseModel], on_rejected: Callable[[str], None]) -> list[Route]:
    """Routes of the entries.

    Args:
        describe: Returns the entry of a kind and an id; called in a thread.
        on_rejected: Called with the path of each request that is rejected because too many wait.
    """
    queue = ThreadQueue("the catalog", 1, on_rejected)

    async def respond(kind: EntryKind, request: Request) -> Response:
        entry = await queue.run(describe, kind, request.path_params["id"])
        return Response(entry.model_dump_json(), media_type="application/json")

    return [Route(f"/{kind}s/{{id:path}}", partial(respond, kind)) for kind in KINDS]
