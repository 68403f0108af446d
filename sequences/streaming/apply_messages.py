"""Application of messages to the online store: batched, retried while the store fails, with dead letters for bad events.

Independent of brokers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from sequences.streaming.message import DeadLetter, Message
from sequences.streaming.metrics import ConsumerMetrics
from storage import suppression_list

RETRY_S = 0.5
INVALID_EVENT_ERRORS = (ValueError, TypeError, LookupError, ArithmeticError)
"""Errors caused by an invalid event; any other error is treated as an unavailable store and retried."""

RawMessages = Sequence[bytes]
Rows = list[Mapping[str, Any]]

logger = logging.getLogger(__name__)


class ConsumerStopped(RuntimeError):
    """The process stops while the online store is unavailable; unapplied messages stay in the broker."""


class Writer(Protocol):
    """The part of `OnlineWriter` that is used here."""

    def apply_batch(self, events_of: Mapping[str, Rows]) -> int:
        """Apply events (user ▸ events); returns the number of new events."""


class EventApplier:
    """Applies messages of several partitions in one batch, in one thread at a time.

    Args:
        open_writer: Opens the online store, given a function track_id ▸ length in ms; retried until it succeeds.
        suppression_file: Suppression list; events of its users are dropped.
        metrics: Metrics to update.
    """

    def __init__(
        self,
        open_writer: Callable[[Callable[[str], int | None]], Writer],
        suppression_file: Path,
        metrics: ConsumerMetrics,
    ) -> None:
        self._open, self._suppression_file, self._metrics = open_writer, suppression_file, metrics
        self._writer: Writer | None = None
        self._duration_ms: dict[str, int] = {}
        self._queue: list[tuple[RawMessages, asyncio.Future[list[DeadLetter]]]] = []
        self._task: asyncio.Task[None] | None = None
        self._stop_event = threading.Event()
        self._apply_lock = threading.Lock()
        self._suppression_digest = ""

    def open(self) -> None:
        """Open the online store before the first events arrive; a failure is ignored, the first batch retries."""
        with self._apply_lock, suppress(Exception):
            self._writer = self._open(self._duration_of)

    async def apply(self, contents: RawMessages) -> list[DeadLetter]:
        """Apply encoded messages; returns dead letters for those that are invalid when all others are in the store.

        Raises:
            ConsumerStopped: `stop` was called before the store accepted the messages.
        """
        result: asyncio.Future[list[DeadLetter]] = asyncio.get_running_loop().create_future()
        self._queue.append((contents, result))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain_queue())
        return await result

    def stop(self) -> None:
        """Stop retrying while the store is unavailable."""
        self._stop_event.set()

    def suppression_digest(self) -> str:
        """Digest of the newest suppression list that is in effect: no further events of its users are written.

        Returns the previous digest while a batch is being applied, instead of waiting for an unavailable store.
        """
        if self._apply_lock.acquire(blocking=False):
            try:
                self._suppression_digest = suppression_list.content_digest(
                    suppression_list.read_content(self._suppression_file)
                )
            finally:
                self._apply_lock.release()
        return self._suppression_digest

    async def _drain_queue(self) -> None:
        while self._queue:
            jobs, self._queue = self._queue, []
            try:
                results = await asyncio.to_thread(self._apply, [contents for contents, _ in jobs])
            except Exception as error:
                for _, result in jobs:
                    if not result.done():
                        result.set_exception(error)
            else:
                for (_, result), letters in zip(jobs, results, strict=True):
                    if not result.done():
                        result.set_result(letters)

    def _apply(self, jobs: Sequence[RawMessages]) -> list[list[DeadLetter]]:
        with self._apply_lock:
            suppressed = suppression_list.read_suppression_list(self._suppression_file)
            letters: list[list[DeadLetter]] = [[] for _ in jobs]
            messages: list[tuple[Message, list[DeadLetter]]] = []
            for contents, job_letters in zip(jobs, letters, strict=True):
                for content in contents:
                    try:
                        message = Message.from_bytes(content)
                    except ValueError as error:
                        job_letters.append(DeadLetter(str(error), "", content.decode("utf-8", "replace")))
                        continue
                    if message.user_id in suppressed:
                        self._metrics.events.labels("forgotten").inc(len(message.events))
                    else:
                        messages.append((message, job_letters))
            self._apply_messages(messages)
        self._metrics.events.labels("dead").inc(sum(map(len, letters)))
        now_us = time.time_ns() // 1000
        for message, _ in messages:
            if message.sent_us:
                self._metrics.latency_seconds.observe(max(0, now_us - message.sent_us) / 1e6)
        return letters

    def _apply_messages(self, messages: Sequence[tuple[Message, list[DeadLetter]]]) -> None:
        try:
            self._write([message for message, _ in messages])
        except INVALID_EVENT_ERRORS:
            # At least one event is invalid: apply the messages one by one to find it.
            for message, letters in messages:
                self._apply_message(message, letters)

    def _apply_message(self, message: Message, letters: list[DeadLetter]) -> None:
        try:
            self._write([message])
        except INVALID_EVENT_ERRORS:
            for event in message.events:
                try:
                    self._write([Message(message.user_id, [event], message.duration_ms)])
                except INVALID_EVENT_ERRORS as error:
                    logger.error("invalid event moved to the dead letters: %r", error)
                    letters.append(DeadLetter(repr(error), message.user_id, json.dumps(event)))

    def _write(self, messages: Sequence[Message]) -> None:
        events_of: dict[str, Rows] = {}
        for message in messages:
            events_of.setdefault(message.user_id, []).extend(message.events)
        if not events_of:
            return
        self._duration_ms = {track: ms for message in messages for track, ms in message.duration_ms.items()}
        new = self._apply_with_retry(events_of)
        self._metrics.events.labels("applied").inc(new)
        self._metrics.events.labels("nothing_new").inc(sum(map(len, events_of.values())) - new)

    def _duration_of(self, track_id: str) -> int | None:
        return self._duration_ms.get(track_id)

    def _apply_with_retry(self, events_of: Mapping[str, Rows]) -> int:
        while True:
            try:
                if self._writer is None:
                    self._writer = self._open(self._duration_of)
                return self._writer.apply_batch(events_of)
            except INVALID_EVENT_ERRORS:
                if self._writer is not None:
                    raise
                logger.exception("the online store cannot be opened (has `feast apply` been run?); retrying")
            except Exception as error:
                logger.error("writing events to the online store failed: %s; retrying", error)
            self._metrics.retries.inc()
            if self._stop_event.wait(RETRY_S):
                raise ConsumerStopped("stopped while the online store is unavailable; the broker keeps the events")
