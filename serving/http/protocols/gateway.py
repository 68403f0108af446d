"""Requests of other protocols: translated into calls of the service's own API, inside the same limits. ASGI middleware."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from serving.http.admission import ThreadQueue
from serving.http.asgi import (
    JSON_MEDIA_TYPE,
    App,
    HttpError,
    HttpMiddleware,
    Message,
    Receive,
    Send,
    charge_client,
    header_values,
    send_response,
)
from serving.http.protocols import listenbrainz, playlist_files
from serving.http.protocols.credentials import read_listenbrainz_user
from serving.http.protocols.internal_call import post_internally
from serving.http.request_body import BodyReader
from serving.http.user_tokens import AUTHENTICATED_USER, HAS_CREDENTIALS

if TYPE_CHECKING:
    from serving.releases.track_lookup import TrackLookup

EXPORTED_PATHS = ("/recommend", "/similar", "/path", "/search")
"""Paths whose responses can be had as playlist files."""
MAX_PARAMETERS = 64


class Protocols(HttpMiddleware):
    """Answers requests of the other protocols and passes every other request on.

    Args:
        app: The wrapped application.
        bodies: Receives bodies.
        tracks: Returns what finds tracks by their names.
        on_rejected: Called with the name of the queue for each request that is rejected because too many wait.
    """

    def __init__(
        self, app: App, bodies: BodyReader, tracks: Callable[[], TrackLookup], on_rejected: Callable[[str], None]
    ) -> None:
        super().__init__(app)
        self._bodies, self._tracks = bodies, tracks
        self._lookups = ThreadQueue("listenbrainz", 1, on_rejected)

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        """See `HttpMiddleware.handle`."""
        path = scope["path"]
        is_export = path in EXPORTED_PATHS and scope["method"] == "POST" and _may_name_format(scope)
        if path in (listenbrainz.SUBMIT_PATH, listenbrainz.VALIDATE_PATH):
            handle = self._listenbrainz(scope, receive, send)
        elif is_export:
            handle = self._export(scope, receive, send)
        else:
            await self._app(scope, receive, send)
            return
        await handle

    async def _listenbrainz(self, scope: Message, receive: Receive, send: Send) -> None:
        user_id = AUTHENTICATED_USER.get() or read_listenbrainz_user(scope, HAS_CREDENTIALS.get())
        expected = "POST" if scope["path"] == listenbrainz.SUBMIT_PATH else "GET"
        if scope["method"] != expected:
            why = f"{scope['method']} is not allowed for {scope['path']}; send {expected}"
            raise HttpError(405, why, (b"allow", expected.encode()))
        if not user_id:
            why = (
                "the token names no user; send the header Authorization: Token USER, or Token KEY:USER with an API key"
            )
            raise HttpError(401, why, (b"www-authenticate", b"Token"))
        if expected == "GET":
            answer = {"code": 200, "message": "Token valid.", "valid": True, "user_name": user_id}
            await _send_json(send, answer)
            return
        body = await self._bodies.read(scope, receive)
        try:
            listens = listenbrainz.read_listens(body)
            tracks: Sequence[str | None] = ()
            if listens:
                charge_client(scope, len(listens) - 1)
                names = listenbrainz.names_of(listens)
                tracks = await self._lookups.run(self._tracks().find_by_names, names, user_id)
            answer = await listenbrainz.submit_listens(
                partial(post_internally, self._app, scope), user_id, listens, tracks
            )
        except listenbrainz.InvalidListens as error:
            raise HttpError(400, str(error)) from error
        except HttpError as error:
            if error.status != 422:
                raise
            # ListenBrainz has no 422; its clients would send the listens again for ever.
            raise HttpError(400, error.detail) from error
        await _send_json(send, answer)

    async def _export(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            query = parse_qs(
                scope.get("query_string", b"").decode(errors="replace"), True, max_num_fields=MAX_PARAMETERS
            )
            kind = playlist_files.choose_format(_accept(scope), query.get("format", [None])[0])
        except ValueError as error:
            raise HttpError(400, str(error)) from error
        if kind is None:
            await self._app(scope, receive, send)
            return
        body = await self._bodies.read(scope, receive)
        answer = await post_internally(self._app, scope, scope["path"], body)
        content = playlist_files.render(kind, f"Segue: {scope['path'][1:]}", answer["items"], _base_url(scope))
        await send_response(send, 200, playlist_files.MEDIA_TYPES[kind].encode(), content)


async def _send_json(send: Send, answer: object) -> None:
    await send_response(send, 200, JSON_MEDIA_TYPE, json.dumps(answer).encode())


def _may_name_format(scope: Message) -> bool:
    return bool(scope.get("query_string")) or any(
        kind in _accept(scope) for kind in playlist_files.MEDIA_TYPES.values()
    )


def _accept(scope: Message) -> str:
    return ",".join(value.decode("latin-1") for value in header_values(scope, b"accept"))


def _base_url(scope: Message) -> str:
    hosts = header_values(scope, b"host")
    return f"{scope.get('scheme', 'http')}://{hosts[0].decode('latin-1') if hosts else 'localhost'}"
