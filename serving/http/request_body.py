"""Receives the body of a request within limits of size and time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from serving.http.asgi import CLOSE_CONNECTION

MAX_LENGTH_DIGITS = 19
"""Digits of the header Content-Length: Python reads no number of more than 4,300, also with leading zeros."""


@dataclass(frozen=True)
class BodyReader:
    """Receives bodies. How many a client sends at once is limited by the reverse proxy."""

    max_bytes: int  # largest body
    timeout_s: float  # time from the headers to the end of the body

    async def read(self, scope: Message, receive: Receive) -> bytes:
        """The whole body.

        Raises:
            HTTPException: It is larger than the limit, or declared to be, and the rest was not read (413); it did not arrive in time
                (408); or the client closed the connection (400).
        """
        too_large = HTTPException(
            413,
            f"the body is larger than {self.max_bytes} bytes (SEGUE_MAX_BODY_BYTES); send a shorter one, or the events "
            "in several reports",
        )
        for size in Headers(scope=scope).getlist("content-length"):
            if len(size) > MAX_LENGTH_DIGITS:
                why = f"header Content-Length has {len(size)} characters; give at most {MAX_LENGTH_DIGITS} digits"
                raise HTTPException(413, why)
            if size.isdigit() and int(size) > self.max_bytes:
                raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self.timeout_s):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise HTTPException(
                            400, "the connection was closed before the end of the body", CLOSE_CONNECTION
                        )
                    body += message.get("body", b"")
                    if len(body) > self.max_bytes:
                        raise too_large
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError as error:
            why = f"the body did not arrive within {self.timeout_s:g} s"
            raise HTTPException(408, why, CLOSE_CONNECTION) from error
