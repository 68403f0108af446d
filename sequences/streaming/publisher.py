"""The recommender's side: what the log has appended goes to the broker, and returns when the broker has it.

Knows nothing about who applies it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from sequences.streaming.message import TOPIC, Message, Topic, build_messages

WAIT_S = 15.0


class Sender(Protocol):
    """One kind of broker."""

    async def send(self, messages: Iterable[Message]) -> None:
        """Returns when the broker has all of them."""

    async def close(self) -> None:
        """Closes the connection."""


class Publisher:
    """For any thread. `duration_of(track_id)` is in ms, None where unknown."""

    def __init__(self, url: str, duration_of: Callable[[str], int | None], topic: Topic = TOPIC) -> None:
        self._url, self._duration_of, self._topic = url, duration_of, topic
        self._sender: Sender | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="publisher", daemon=True)
        self._thread.start()

    def publish(self, events_of: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Send events, user ▸ events in order.

        Raises:
            Exception: the broker does not have all of them; which ones is unknown.
        """
        self._run_in_loop(self._send(list(build_messages(events_of, self._duration_of))))

    def close(self) -> None:
        """Closes the connection."""
        if self._sender is not None:
            self._run_in_loop(self._sender.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _send(self, them: list[Message]) -> None:
        if self._sender is None:
            self._sender = make_sender(self._url, self._topic)
        await self._sender.send(them)

    def _run_in_loop(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)


def make_sender(url: str, topic: Topic) -> Sender:
    """What publishes to the broker at this address."""
    if url.startswith("kafka://"):
        from sequences.streaming.kafka import TopicSender

        return TopicSender(url, topic)
    from sequences.streaming.redis_streams import StreamSender

    return StreamSender(url, topic)
