"""Synchronous publisher of the recommender: sends logged events to the broker and waits for its acknowledgement."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from sequences.streaming.message import TOPIC, Topic, build_messages

WAIT_S = 15.0

logger = logging.getLogger(__name__)


class Publisher:
    """Thread-safe publisher with its own event loop.

    Args:
        url: URL of the Redis server.
        duration_of: track_id ▸ length in ms, None if unknown.
        topic: The topic.
    """

    def __init__(self, url: str, duration_of: Callable[[str], int | None], topic: Topic = TOPIC) -> None:
        # Imported here, since the recommender without a broker has no FastStream.
        from sequences.streaming.redis_streams import StreamSender

        self._sender, self._duration_of = StreamSender(url, topic), duration_of
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="publisher", daemon=True)
        self._thread.start()

    def open(self) -> None:
        """Start connecting to the broker, so that the first event does not wait for it."""
        asyncio.run_coroutine_threadsafe(self._sender.send([]), self._loop).add_done_callback(_log_failure)

    def publish(self, events_of: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Send events, user ▸ contract rows in order.

        Raises:
            Exception: The broker has not acknowledged all events; some may have been delivered.
        """
        self._run_in_loop(self._sender.send(list(build_messages(events_of, self._duration_of))))

    def close(self) -> None:
        """Close the connection and stop the event loop."""
        self._run_in_loop(self._sender.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run_in_loop(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WAIT_S)


def _log_failure(opened: Future[None]) -> None:
    if not opened.cancelled() and (error := opened.exception()) is not None:
        logger.warning("the broker does not respond: %r; events wait in the log", error)
