"""Limits of HTTP connections: size of headers, time to send a request and to read a response, connections of one address,
trusted proxies.

uvicorn does not limit the headers that its fast parser buffers, waits for clients without a deadline, and trusts the
`X-Forwarded-For` of every program on this machine. BentoML passes none of its options on, so `configure_uvicorn` sets them where
uvicorn looks them up. The limits apply before any ASGI middleware sees the request.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import json
import logging
import os
from collections import Counter
from http import HTTPStatus
from typing import Any

import uvicorn.config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from config.http_settings import HttpSettings
from serving.http.asgi import PROBLEM_MEDIA_TYPE, problem

BODY_GRACE_S = 5.0
"""Time after the deadline of a body in which the request guard responds with 408, before the connection is closed."""

logger = logging.getLogger(__name__)


def configure_uvicorn(settings: HttpSettings) -> None:
    """Make uvicorn servers that start later in this process use the limits and the trusted proxies."""
    os.environ["FORWARDED_ALLOW_IPS"] = ",".join(settings.trusted_proxies)
    waiting: dict[str, dict[LimitedHttpProtocol, None]] = {}
    # uvicorn accepts a class in place of its import path.
    uvicorn.config.HTTP_PROTOCOLS["auto"] = functools.partial(  # type: ignore[assignment]
        LimitedHttpProtocol, settings=settings, waiting=waiting, opened=Counter()
    )


class RequestRefused(Exception):
    """Stops the parser: the headers are not accepted."""


class LimitedHttpProtocol(HttpToolsProtocol):
    """One connection; closes it when a limit is exceeded, with 400, 408 or 431 if no response is being sent.

    Args:
        settings: The limits.
        waiting: Address → connections that wait for their client, to send a request or to read a response, oldest first;
            shared by all connections of a server. Beyond the limit the oldest connection of the address is closed, so that its
            newer requests still arrive.
        opened: Address → its open connections, shared alike: one client must not have all descriptors, whatever its requests do.
    """

    def __init__(
        self,
        *arguments: Any,
        settings: HttpSettings,
        waiting: dict[str, dict[LimitedHttpProtocol, None]],
        opened: Counter[str],
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._settings, self._waiting, self._opened = settings, waiting, opened
        # As many as wait for the client, have an unfinished body, and are in progress or queued.
        self._max_opened = 2 * settings.client_connections + settings.client_requests
        self._deadline: asyncio.TimerHandle | None = None
        self._send_check: asyncio.TimerHandle | None = None
        self._has_message = self._has_headers = self._is_after_chunk_header = False
        self._buffered_bytes = 0  # of headers or trailers that the parser has not reported yet
        self._refusal: tuple[int, str] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline of the first request."""
        super().connection_made(transport)
        address = self._limited_address()
        if address is not None:
            self._opened[address] += 1
            if self._opened[address] > self._max_opened:
                self._close(503, f"{self._max_opened} connections of this address are open; close some")
                return
        self._set_deadline(self._settings.header_timeout_s)
        self._wait_for_client()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._cancel_deadline()
        self._cancel_send_check()
        self._leave_waiting()
        if (address := self._limited_address()) is not None:
            self._opened[address] -= 1
            if not self._opened[address]:
                del self._opened[address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse data; while it is not a complete header, count it."""
        if not self._has_message and self._deadline is None:
            self._set_deadline(self._settings.header_timeout_s)
        if not self._has_headers or self._is_after_chunk_header:
            self._buffered_bytes += len(data)
        super().data_received(data)
        is_buffering = not self._has_headers or self._is_after_chunk_header
        if is_buffering and self._buffered_bytes > self._settings.max_header_bytes:
            self._refuse_large_headers()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._has_message, self._has_headers, self._is_after_chunk_header = True, False, False
        if self._deadline is None:
            self._set_deadline(self._settings.header_timeout_s)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; trailers after the body are ignored."""
        if not self._has_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check the headers and start the request."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self._settings.max_header_bytes:
            self._refusal = 431, f"the headers are larger than {self._settings.max_header_bytes} bytes"
            raise RequestRefused
        for name, value in self.headers:
            if not _is_text(name) or not _is_text(value):
                self._refusal = 400, "a header is not valid UTF-8"
                raise RequestRefused
        self._has_headers, self._buffered_bytes = True, 0
        if not self.flow.write_paused:
            self._leave_waiting()
        self._set_deadline(self._settings.body_timeout_s + BODY_GRACE_S)
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """A chunk of the body begins; after the last one, trailers."""
        self._is_after_chunk_header = True

    def on_body(self, body: bytes) -> None:
        """Add data to the body."""
        self._is_after_chunk_header, self._buffered_bytes = False, 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._cancel_deadline()
        self._has_message = self._has_headers = self._is_after_chunk_header = False
        self._buffered_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it has arrived already."""
        super().on_response_complete()
        self._check_sending_later()
        # A closing connection exists until the client has read everything.
        if self.cycle.response_complete or self.transport.is_closing():
            self._wait_for_client()

    def pause_writing(self) -> None:
        """The client does not read as fast as the response is computed."""
        super().pause_writing()
        self._check_sending_later()
        self._wait_for_client()

    def resume_writing(self) -> None:
        """The client has read most of what was sent."""
        super().resume_writing()
        self._check_sending_later()
        if self.cycle is not None and not self.cycle.response_complete:
            self._leave_waiting()

    def send_400_response(self, msg: str) -> None:
        """Respond to a request that the parser or this class does not accept, and close the connection."""
        status, why = self._refusal or (400, msg)
        self._close(status, why)

    def _should_upgrade_to_ws(self) -> bool:
        return False

    def _unsupported_upgrade_warning(self) -> None:
        """The request is answered as one of HTTP; uvicorn would suggest a library in the log."""

    def _refuse_large_headers(self) -> None:
        self._close(431, f"the headers are larger than {self._settings.max_header_bytes} bytes")

    def _wait_for_client(self) -> None:
        address = self._limited_address()
        if address is None or self not in self.connections:
            return  # the response to a client that is gone
        others = self._waiting.setdefault(address, {})
        others.pop(self, None)
        others[self] = None
        if len(others) > self._settings.client_connections:
            next(iter(others))._evict()

    def _limited_address(self) -> str | None:
        """The address of the client; None for a Unix socket, or a proxy with connections of many clients."""
        if self.client is None or _is_trusted(self.client[0], self._settings.trusted_proxies):
            return None
        return self.client[0]

    def _evict(self) -> None:
        """Close a connection of an address that has too many, without waiting until its client has read the response."""
        if self.flow.write_paused or self.transport.is_closing():
            self._leave_waiting()
            self.transport.abort()
        else:
            self._end()

    def _leave_waiting(self) -> None:
        address = self.client[0] if self.client else ""
        others = self._waiting.get(address, {})
        others.pop(self, None)
        if not others:
            self._waiting.pop(address, None)

    def _set_deadline(self, seconds: float) -> None:
        self._cancel_deadline()
        self._deadline = self.loop.call_later(seconds, self._end)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _check_sending_later(self) -> None:
        self._cancel_send_check()
        if unsent := self.transport.get_write_buffer_size():
            self._send_check = self.loop.call_later(self._settings.send_timeout_s, self._check_sending, unsent)

    def _cancel_send_check(self) -> None:
        if self._send_check is not None:
            self._send_check.cancel()
            self._send_check = None

    def _check_sending(self, unsent: int) -> None:
        """Close the connection if its client has read nothing since `unsent` bytes were buffered."""
        if self.transport.get_write_buffer_size() < unsent:
            self._check_sending_later()
            return
        logger.info("connection closed: the response was not read in time", extra={"fields": {"client": self.client}})
        self.transport.abort()

    def _end(self) -> None:
        """Close a connection whose client took too long, or has too many."""
        is_incomplete = self._has_message and not self._has_headers
        self._close(408 if is_incomplete else None, "the headers did not arrive in time")

    def _close(self, status: int | None, why: str) -> None:
        self._cancel_deadline()
        if self.transport.is_closing():
            return
        if not self.flow.write_paused:
            self._leave_waiting()
        if status is not None:
            logger.info("connection closed: %s", why, extra={"fields": {"status": status, "client": self.client}})
        # In the middle of another response, a second one would be taken for a part of it.
        if status is not None and (self.cycle is None or self.cycle.response_complete):
            body = json.dumps(problem(status, why))
            media_type = PROBLEM_MEDIA_TYPE.decode()
            lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"content-type: {media_type}"]
            lines += [f"content-length: {len(body)}", "connection: close", "", body]
            self.transport.write("\r\n".join(lines).encode("ascii"))
        self._check_sending_later()
        self.transport.close()


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


@functools.lru_cache(maxsize=4096)
def _is_trusted(address: str, networks: tuple[str, ...]) -> bool:
    if not networks:
        return False
    ip = ipaddress.ip_address(address)
    return any(ip in ipaddress.ip_network(network) for network in networks)
