"""Synchronous publisher of the recommender: sends logged events to the broker and waits for its acknowledgement."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from sequences.streaming.message import TOPIC, Message, Topic, build_messages

WAIT_S = 15.0

logger = logging.getLogger(__name__)


class Sender(Protocol):
    """Asynchronous sender for one type of broker."""

    async def send(self, messages: Iterable[Message]) -> None:
        """Send messages and wait for the acknowledgement of all."""

    async def close(self) -> None:
        """Close the connection."""


class Publisher:
    """Thread-safe publisher with its own event loop.

    Args:
        url: Broker URL.
        duration_of: track_id ▸ length in ms, None if unknown.
        topic: The topic.
    """

    def __init__(self, url: str, duration_of: Callable[[str], int | None], topic: Topic = TOPIC) -> None:
        self._url, self._duration_of, self._topic = url, duration_of, topic
        self._sender: Sender | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="publisher", daemon=True)
        self._thread.start()

    def open(self) -> None:
        """Start connecting to the broker, so that the first event does not wait for it."""
        asyncio.run_coroutine_threadsafe(self._send([]), self._loop).add_done_callback(_log_failure)

    def publish(self, events_of: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Send events, user ▸ contract rows in order.

        Raises:
            Exception: The broker has not acknowledged all events; some may have been delivered.
        """
        self._run_in_loop(self._send(list(build_messages(events_of, self._duration_of))))

    def close(self) -> None:
        """Close the connection and stop the event loop."""
        if self._sender is not None:
            self._run_in_loop(self._sender.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _send(self, messages: list[Message]) -> None:
        if self._sender is None:
            self._sender = make_sender(self._url, self._topic)
        await self._sender.send(messages)

    def _run_in_loop(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WAIT_S)


def _log_failure(opened: Future[None]) -> None:
    if not opened.cancelled() and (error := opened.exception()) is not None:
        logger.warning("the broker does not respond: %r; events wait in the log", error)


def make_sender(url: str, topic: Topic) -> Sender:
    """A sender for the broker at `url`."""
    if url.startswith("kafka://"):
        from sequences.streaming.kafka import TopicSender

        return TopicSender(url, topic)
    from sequences.streaming.redis_streams import StreamSender

    return StreamSender(url, topic)
