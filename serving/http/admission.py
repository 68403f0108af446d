"""Admission control: limits for concurrent and for queued requests; more are shed with 503, more of one client with 429.

Without limits, all requests would share the processor and become slower together, and one client could fill the queue. ASGI
middleware inside the request guard, so a slot is taken only after the body has arrived; independent of recommendations.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from serving.http.asgi import RETRY_AFTER, RETRY_AFTER_S, App, HttpError, Message, Receive, Send, get_client

MAX_CONCURRENT_REPORTS = 16
"""Reports of events that run at once; for recommendations it is the setting `concurrent_requests`."""
MAX_WAITING_REQUESTS, MAX_WAITING_REPORTS = 64, 128
"""Recommendations and reports that wait for a slot; more are shed."""


@dataclass(frozen=True)
class RequestQueue:
    """Paths that share slots: up to `max_concurrent` requests run, up to `max_waiting` more wait in order of arrival.

    `max_per_client` of them are of one client; without it, only the limit over all queues applies.
    """

    paths: tuple[str, ...]
    max_concurrent: int
    max_waiting: int
    max_per_client: int | None = None


class _Slots:
    def __init__(self, queue: RequestQueue) -> None:
        self.queue = queue
        self.capacity = queue.max_concurrent + queue.max_waiting
        self.in_flight: Counter[str] = Counter()  # client → requests that run or wait
        self.semaphore = asyncio.Semaphore(queue.max_concurrent)


class Admission:
    """Responds immediately with Retry-After: 503 if a queue is full, 429 if a client has all the places that one may have.

    Args:
        app: The wrapped application.
        load_queues: Called when the server starts, so that nothing is read from the environment at import.
        load_client_requests: The same; the largest number of requests of one client that run or wait, over all queues.
        on_rejected: Called with the path of each rejected request.
    """

    def __init__(
        self,
        app: App,
        load_queues: Callable[[], list[RequestQueue]],
        load_client_requests: Callable[[], int],
        on_rejected: Callable[[str], None],
    ) -> None:
        self._app, self._on_rejected = app, on_rejected
        queues = [(queue, _Slots(queue)) for queue in load_queues()]
        self._slots = {path: slots for queue, slots in queues for path in queue.paths}
        self._max_per_client = load_client_requests()
        self._in_flight: Counter[str] = Counter()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        slots = self._slots.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if slots is None:
            await self._app(scope, receive, send)
            return
        client = get_client(scope)
        if rejection := self._reject(slots, client):
            self._on_rejected(scope["path"])
            raise HttpError(rejection[0], f"{rejection[1]}; retry in {RETRY_AFTER_S} s", RETRY_AFTER)
        counts = (slots.in_flight, self._in_flight)
        for in_flight in counts:
            in_flight[client] += 1
        try:
            async with slots.semaphore:
                await self._app(scope, receive, send)
        finally:
            for in_flight in counts:
                in_flight[client] -= 1
                if not in_flight[client]:
                    del in_flight[client]

    def _reject(self, slots: _Slots, client: str) -> tuple[int, str] | None:
        """Status and reason if another request of the client is too many."""
        if slots.in_flight.total() >= slots.capacity:
            return 503, f"{slots.capacity} requests are in progress or queued"
        if self._in_flight[client] >= self._max_per_client:
            return 429, f"{self._max_per_client} requests of this client are in progress or queued"
        most = slots.queue.max_per_client
        if most is not None and slots.in_flight[client] >= most:
            return 429, f"a client may have {most} of {' and '.join(slots.queue.paths)} in progress or queued"
        return None
