"""Responds to requests whose handling fails: ASGI middleware outside all others of a service."""

from __future__ import annotations

import logging

from serving.http.asgi import CLOSE_CONNECTION, App, Message, Receive, Send, send_error

logger = logging.getLogger(__name__)


class CatchAll:
    """Logs an exception with its traceback and responds with 500; the connection is closed.

    BentoML's timeout middleware, which is outside, waits for the first message of a response: without this class it would
    wait its 30 s after an exception, too, and nobody would see the traceback.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        is_started = scope["type"] != "http"

        async def forward(message: Message) -> None:
            nonlocal is_started
            is_started = True
            await send(message)

        try:
            await self._app(scope, receive, forward)
        except Exception:
            if is_started:  # the server logs it and ends the connection
                raise
            logger.exception("%s %s failed", scope["method"], scope["path"][:80])
            why = "the request failed unexpectedly; the log of the service has the traceback"
            await send_error(send, 500, why, CLOSE_CONNECTION)
