"""How many requests are worked on at once and how many may wait: beyond that they are told to come back.

Without it every request in the house shares the processor, and all become slower together. ASGI middleware, behind the
guard, so that nobody waits for a body while they hold a turn; knows nothing about recommendations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from serving.http.request_guard import JSON_MEDIA_TYPE, App, Message, Receive, Send, error_body, send_response

RETRY_AFTER_S = 1


@dataclass(frozen=True)
class RequestQueue:
    """Paths that share turns: `at_once` requests are worked on, `waiting` more wait for a turn, in the order they came."""

    paths: tuple[str, ...]
    max_concurrent: int
    max_waiting: int


class _Slots:
    def __init__(self, queue: RequestQueue) -> None:
        self.capacity = queue.max_concurrent + queue.max_waiting
        self.in_flight = 0
        self.semaphore = asyncio.Semaphore(queue.max_concurrent)


class Admission:
    """Answers 503 with Retry-After itself where a queue is full, at once; those inside do not notice.

    Args:
        queues: asked for at the first request, so that nothing is read from the environment at import.
        refused: called with the path of each request that is sent away.
    """

    def __init__(self, app: App, queues: Callable[[], list[RequestQueue]], on_rejected: Callable[[str], None]) -> None:
        self._app, self._queues, self._on_rejected = app, queues, on_rejected
        self._slots: Mapping[str, _Slots] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if self._slots is None:
            queues = [(queue, _Slots(queue)) for queue in self._queues()]
            self._slots = {path: turns for queue, turns in queues for path in queue.paths}
        turns = self._slots.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if turns is None:
            await self._app(scope, receive, send)
        elif turns.in_flight >= turns.capacity:
            self._on_rejected(scope["path"])
            error = f"{turns.capacity} requests are being answered or wait; ask again in {RETRY_AFTER_S} s"
            await send_response(
                send, 503, JSON_MEDIA_TYPE, error_body(error), [(b"retry-after", str(RETRY_AFTER_S).encode())]
            )
        else:
            turns.in_flight += 1
            try:
                async with turns.semaphore:
                    await self._app(scope, receive, send)
            finally:
                turns.in_flight -= 1
