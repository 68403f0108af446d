"""Receives the body of a request within limits of size, time and number."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from serving.http.asgi import Message, Receive, get_client, header_values


class BodyTooLarge(Exception):
    """The body exceeds the limit."""


class ClientDisconnected(Exception):
    """The client closed the connection before the body was complete."""


@dataclass(frozen=True)
class BodyLimits:
    """Limits of request bodies."""

    max_bytes: int  # largest body
    timeout_s: float  # time from the headers to the end of the body
    max_incomplete: int  # bodies of one client that are being received


class BodyReader:
    """Receives bodies. Beyond the limit of unfinished bodies, the client's oldest one is rejected, so that newer ones arrive."""

    def __init__(self, limits: BodyLimits) -> None:
        self.limits = limits
        self._deadlines: dict[str, deque[asyncio.Timeout]] = {}

    async def read(self, scope: Message, receive: Receive) -> bytes:
        """The whole body.

        Raises:
            BodyTooLarge: It is larger than the limit, or declared to be; the rest was not read.
            ClientDisconnected: The client closed the connection.
            TimeoutError: It did not arrive in time, or too many newer bodies of the client arrived.
        """
        if any(int(size) > self.limits.max_bytes for size in header_values(scope, b"content-length") if size.isdigit()):
            raise BodyTooLarge
        body = bytearray()
        async with self._deadline(get_client(scope)):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientDisconnected
                body += message.get("body", b"")
                if len(body) > self.limits.max_bytes:
                    raise BodyTooLarge
                if not message.get("more_body", False):
                    return bytes(body)

    @asynccontextmanager
    async def _deadline(self, client: str) -> AsyncIterator[None]:
        async with asyncio.timeout(self.limits.timeout_s) as deadline:
            deadlines = self._deadlines.setdefault(client, deque())
            deadlines.append(deadline)
            if len(deadlines) > self.limits.max_incomplete:
                oldest = deadlines.popleft()
                if not oldest.expired():
                    oldest.reschedule(0)
            try:
                yield
            finally:
                with suppress(ValueError):  # it was the oldest
                    deadlines.remove(deadline)
                if not deadlines:
                    self._deadlines.pop(client, None)
