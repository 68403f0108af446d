"""How many requests are worked on at once and how many may wait: beyond that they are told to come back.

Without it every request in the house shares the processor, and all become slower together. ASGI middleware, behind the
guard, so that nobody waits for a body while they hold a turn; knows nothing about recommendations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from serving.guard import JSON, App, Message, Receive, Send, answered, error_body

RETRY_AFTER_S = 1


@dataclass(frozen=True)
class Queue:
    """Paths that share turns: `at_once` requests are worked on, `waiting` more wait for a turn, in the order they came."""

    paths: tuple[str, ...]
    at_once: int
    waiting: int


class _Turns:
    def __init__(self, queue: Queue) -> None:
        self.most = queue.at_once + queue.waiting
        self.inside = 0
        self.turn = asyncio.Semaphore(queue.at_once)


class Admission:
    """Answers 503 with Retry-After itself where a queue is full, at once; those inside do not notice.

    Args:
        queues: asked for at the first request, so that nothing is read from the environment at import.
        refused: called with the path of each request that is sent away.
    """

    def __init__(self, app: App, queues: Callable[[], list[Queue]], refused: Callable[[str], None]) -> None:
        self._app, self._queues, self._refused = app, queues, refused
        self._turns: Mapping[str, _Turns] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if self._turns is None:
            queues = [(queue, _Turns(queue)) for queue in self._queues()]
            self._turns = {path: turns for queue, turns in queues for path in queue.paths}
        turns = self._turns.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if turns is None:
            await self._app(scope, receive, send)
        elif turns.inside >= turns.most:
            self._refused(scope["path"])
            error = f"{turns.most} requests are being answered or wait; ask again in {RETRY_AFTER_S} s"
            await answered(send, 503, JSON, error_body(error), [(b"retry-after", str(RETRY_AFTER_S).encode())])
        else:
            turns.inside += 1
            try:
                async with turns.turn:
                    await self._app(scope, receive, send)
            finally:
                turns.inside -= 1
