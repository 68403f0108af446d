"""Requests of other protocols: translated into calls of the service's own API, inside the same limits. ASGI middleware."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Send

from serving.http.admission import ThreadQueue
from serving.http.asgi import HttpMiddleware, charge_client
from serving.http.protocols import listenbrainz, playlist_files
from serving.http.protocols.credentials import read_listenbrainz_user
from serving.http.protocols.internal_call import post_internally
from serving.http.request_body import BodyReader
from serving.http.user_tokens import AUTHENTICATED_USER, HAS_CREDENTIALS

if TYPE_CHECKING:
    from serving.releases.track_lookup import TrackLookup

EXPORTED_PATHS = ("/recommend", "/similar", "/path", "/search")
"""Paths whose responses can be had as playlist files."""


class Protocols(HttpMiddleware):
    """Answers requests of the other protocols and passes every other request on.

    Args:
        app: The wrapped application.
        bodies: Receives bodies.
        tracks: Returns what finds tracks by their names.
        on_rejected: Called with the name of the queue for each request that is rejected because too many wait.
    """

    def __init__(
        self, app: ASGIApp, bodies: BodyReader, tracks: Callable[[], TrackLookup], on_rejected: Callable[[str], None]
    ) -> None:
        super().__init__(app)
        self._bodies, self._tracks = bodies, tracks
        self._lookups = ThreadQueue("listenbrainz", 1, on_rejected)

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        """See `HttpMiddleware.handle`."""
        request, path = Request(scope, receive), scope["path"]
        if path in (listenbrainz.SUBMIT_PATH, listenbrainz.VALIDATE_PATH):
            response = await self._listenbrainz(request)
        elif scope["method"] == "POST" and path in EXPORTED_PATHS and (kind := _requested_format(request)):
            response = await self._export(request, kind)
        else:
            await self._app(scope, receive, send)
            return
        await response(scope, receive, send)

    async def _listenbrainz(self, request: Request) -> Response:
        scope, path = request.scope, request.scope["path"]
        user_id = AUTHENTICATED_USER.get() or read_listenbrainz_user(scope, HAS_CREDENTIALS.get())
        expected = "POST" if path == listenbrainz.SUBMIT_PATH else "GET"
        if request.method != expected:
            why = f"{request.method} is not allowed for {path}; send {expected}"
            raise HTTPException(405, why, {"Allow": expected})
        if not user_id:
            why = (
                "the token names no user; send the header Authorization: Token USER, or Token KEY:USER with an API key"
            )
            raise HTTPException(401, why, {"WWW-Authenticate": "Token"})
        if expected == "GET":
            return JSONResponse({"code": 200, "message": "Token valid.", "valid": True, "user_name": user_id})
        body = await self._bodies.read(scope, request.receive)
        try:
            listens = listenbrainz.read_listens(body)
            tracks: Sequence[str | None] = ()
            if listens:
                charge_client(scope, len(listens) - 1)
                names = listenbrainz.names_of(listens)
                tracks = await self._lookups.run(self._tracks().find_by_names, names, user_id)
            post = partial(post_internally, self._app, scope)
            return JSONResponse(await listenbrainz.submit_listens(post, user_id, listens, tracks))
        except listenbrainz.InvalidListens as error:
            raise HTTPException(400, str(error)) from error
        except HTTPException as error:
            if error.status_code != 422:
                raise
            # ListenBrainz has no 422; its clients would send the listens again for ever.
            raise HTTPException(400, error.detail) from error

    async def _export(self, request: Request, kind: str) -> Response:
        path, body = request.scope["path"], await self._bodies.read(request.scope, request.receive)
        answer = await post_internally(self._app, request.scope, path, body)
        content = playlist_files.render(kind, f"Segue: {path[1:]}", answer["items"], str(request.base_url))
        return Response(content, media_type=playlist_files.MEDIA_TYPES[kind])


def _requested_format(request: Request) -> str | None:
    """The format of a playlist file that a request names; None for JSON.

    Raises:
        HTTPException: The query names an unknown one.
    """
    try:
        accepted = ",".join(request.headers.getlist("accept"))
        return playlist_files.choose_format(accepted, request.query_params.get("format"))
    except ValueError as error:
        raise HTTPException(400, str(error)) from error
