"""Admission control: limits for concurrent and for queued requests; more are shed with 503, more of one client with 429.

Without limits, all requests would share the processor and become slower together, and one client could fill the queue. ASGI
middleware inside the request guard, so a slot is taken only after the body has arrived; independent of recommendations.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
from anyio import CapacityLimiter
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Send

from serving.http.asgi import RETRY_AFTER, RETRY_AFTER_S, HttpMiddleware, get_client

MAX_CONCURRENT_REPORTS = 16
"""Reports of events that run at once; for recommendations it is the setting `concurrent_requests`."""
MAX_WAITING_REQUESTS, MAX_WAITING_REPORTS, MAX_WAITING_LOOKUPS = 64, 128, 64
"""Recommendations, reports, and calls of one ThreadQueue that wait; more are shed."""

T = TypeVar("T")
Arguments = ParamSpec("Arguments")


class RequestQueue:
    """Paths that share slots: up to `max_concurrent` requests run, up to `max_waiting` more wait in order of arrival."""

    def __init__(self, paths: tuple[str, ...], max_concurrent: int, max_waiting: int) -> None:
        self.paths, self.capacity, self.in_flight = paths, max_concurrent + max_waiting, 0
        self.slots = asyncio.Semaphore(max_concurrent)


class Admission(HttpMiddleware):
    """Responds immediately with Retry-After: 503 if a queue is full, 429 if a client has all the places that one may have.

    Args:
        app: The wrapped application.
        queues: The queues.
        max_per_client: Largest number of requests of one client that run or wait, over all queues.
        on_rejected: Called with the path of each rejected request.
    """

    def __init__(
        self, app: ASGIApp, queues: Sequence[RequestQueue], max_per_client: int, on_rejected: Callable[[str], None]
    ) -> None:
        super().__init__(app)
        self._queues = {path: queue for queue in queues for path in queue.paths}
        self._max_per_client, self._on_rejected = max_per_client, on_rejected
        self._in_flight: Counter[str] = Counter()

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        """See `HttpMiddleware.handle`."""
        queue = self._queues.get(scope["path"]) if scope["method"] == "POST" else None
        if queue is None:
            await self._app(scope, receive, send)
            return
        client = get_client(scope)
        if queue.in_flight >= queue.capacity:
            raise self._reject(scope, 503, f"{queue.capacity} requests are in progress or queued")
        if self._in_flight[client] >= self._max_per_client:
            raise self._reject(scope, 429, f"{self._max_per_client} requests of this client are in progress or queued")
        queue.in_flight += 1
        self._in_flight[client] += 1
        try:
            async with queue.slots:
                await self._app(scope, receive, send)
        finally:
            queue.in_flight -= 1
            self._in_flight[client] -= 1
            if not self._in_flight[client]:
                del self._in_flight[client]

    def _reject(self, scope: Message, status: int, why: str) -> HTTPException:
        self._on_rejected(scope["path"])
        return HTTPException(status, f"{why}; retry in {RETRY_AFTER_S} s", RETRY_AFTER)


class ThreadQueue:
    """Runs functions in up to `max_concurrent` threads, so that what takes long does not keep others from their threads.

    Args:
        name: What the functions look up.
        max_concurrent: Number of threads.
        on_rejected: Called with the name for each call that is shed because too many wait.
    """

    def __init__(self, name: str, max_concurrent: int, on_rejected: Callable[[str], None]) -> None:
        self._name, self._limiter, self._on_rejected = name, CapacityLimiter(max_concurrent), on_rejected

    async def run(self, function: Callable[Arguments, T], *arguments: Arguments.args, **options: Arguments.kwargs) -> T:
        """The result of the function.

        Raises:
            HTTPException: Too many calls wait already.
        """
        if self._limiter.statistics().tasks_waiting >= MAX_WAITING_LOOKUPS:
            self._on_rejected(self._name)
            why = f"{MAX_WAITING_LOOKUPS} requests for {self._name} wait already; retry in {RETRY_AFTER_S} s"
            raise HTTPException(503, why, RETRY_AFTER)
        return await anyio.to_thread.run_sync(partial(function, *arguments, **options), limiter=self._limiter)
