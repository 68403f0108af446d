"""Admission control: limits for concurrent and for queued requests; more are shed with 503.

Without limits, all requests would share the processor and become slower together. ASGI middleware inside the request guard,
so a slot is taken only after the body has arrived; knows nothing about recommendations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from serving.http.request_guard import JSON_MEDIA_TYPE, App, Message, Receive, Send, error_body, send_response

RETRY_AFTER_S = 1


@dataclass(frozen=True)
class RequestQueue:
    """Paths that share slots: up to `max_concurrent` requests run, up to `max_waiting` more wait in order of arrival."""

    paths: tuple[str, ...]
    max_concurrent: int
    max_waiting: int


class _Slots:
    def __init__(self, queue: RequestQueue) -> None:
        self.capacity = queue.max_concurrent + queue.max_waiting
        self.in_flight = 0
        self.semaphore = asyncio.Semaphore(queue.max_concurrent)


class Admission:
    """Responds immediately with 503 and Retry-After if a queue is full.

    Args:
        app: The wrapped application.
        queues: Called at the first request, so that nothing is read from the environment at import.
        on_rejected: Called with the path of each rejected request.
    """

    def __init__(self, app: App, queues: Callable[[], list[RequestQueue]], on_rejected: Callable[[str], None]) -> None:
        self._app, self._queues, self._on_rejected = app, queues, on_rejected
        self._slots: Mapping[str, _Slots] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if self._slots is None:
            queues = [(queue, _Slots(queue)) for queue in self._queues()]
            self._slots = {path: slots for queue, slots in queues for path in queue.paths}
        slots = self._slots.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if slots is None:
            await self._app(scope, receive, send)
        elif slots.in_flight >= slots.capacity:
            self._on_rejected(scope["path"])
            error = f"{slots.capacity} requests are in progress or queued; retry in {RETRY_AFTER_S} s"
            await send_response(
                send, 503, JSON_MEDIA_TYPE, error_body(error), [(b"retry-after", str(RETRY_AFTER_S).encode())]
            )
        else:
            slots.in_flight += 1
            try:
                async with slots.semaphore:
                    await self._app(scope, receive, send)
            finally:
                slots.in_flight -= 1
