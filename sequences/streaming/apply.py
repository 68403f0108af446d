"""From messages to the online store: together, again until the store takes them, and without those that nobody can apply.

Knows nothing about brokers.
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
"""What applying raises where a row is at fault; everything else is taken for a store that is away, and tried again."""

RawMessages = Sequence[bytes]
Rows = list[Mapping[str, Any]]

logger = logging.getLogger(__name__)


class ConsumerStopped(RuntimeError):
    """The process ends while the store is away; what was not applied stays with the broker."""


class Writer(Protocol):
    """`OnlineWriter`, as it is needed here."""

    def apply_batch(self, events_of: Mapping[str, Rows]) -> int:
        """Applies events, user ▸ events; how many were new."""


class EventApplier:
    """Applies what several partitions have read at the same time in one go; everything of it happens in one thread at a time.

    Args:
        open_writer: opens the online store, given the length of a track; tried again until it works.
        file: the list of forgotten users; what comes of them is dropped.
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
        """Opens the online store ahead of the first events, which need not wait for it then; if it cannot be, they do."""
        with self._apply_lock, suppress(Exception):
            self._writer = self._open(self._duration_of)

    async def apply(self, contents: RawMessages) -> list[DeadLetter]:
        """Returns when everything is in the online store but for what is returned.

        Raises:
            Stopped: `stop` was called before the store took it.
        """
        answer: asyncio.Future[list[DeadLetter]] = asyncio.get_running_loop().create_future()
        self._queue.append((contents, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain_queue())
        return await answer

    def stop(self) -> None:
        """Wait for the store no longer."""
        self._stop_event.set()

    def suppression_digest(self) -> str:
        """The digest of the newest list of forgotten users that this process has taken up: nothing of theirs is written any
        more. Does not wait for a store that is away.
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
                found = await asyncio.to_thread(self._apply, [contents for contents, _ in jobs])
            except Exception as error:
                for _, answer in jobs:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for (_, answer), letters in zip(jobs, found, strict=True):
                    if not answer.done():
                        answer.set_result(letters)

    def _apply(self, jobs: Sequence[RawMessages]) -> list[list[DeadLetter]]:
        with self._apply_lock:
            gone = suppression_list.read_suppression_list(self._suppression_file)
            letters: list[list[DeadLetter]] = [[] for _ in jobs]
            good: list[tuple[Message, list[DeadLetter]]] = []
            for contents, of_job in zip(jobs, letters, strict=True):
                for content in contents:
                    try:
                        message = Message.from_bytes(content)
                    except ValueError as error:
                        of_job.append(DeadLetter(str(error), "", content.decode("utf-8", "replace")))
                        continue
                    if message.user_id in gone:
                        self._metrics.events.labels("forgotten").inc(len(message.events))
                    else:
                        good.append((message, of_job))
            self._apply_messages(good)
        self._metrics.events.labels("dead").inc(sum(map(len, letters)))
        now_us = time.time_ns() // 1000
        for message, _ in good:
            if message.sent_us:
                self._metrics.latency_seconds.observe(max(0, now_us - message.sent_us) / 1e6)
        return letters

    def _apply_messages(self, messages: Sequence[tuple[Message, list[DeadLetter]]]) -> None:
        try:
            self._write([message for message, _ in messages])
        except INVALID_EVENT_ERRORS:
            # One row is at fault; the others must not wait for it.
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
                    logger.error("an event of a user cannot be applied, it goes to the dead letters: %r", error)
                    letters.append(DeadLetter(repr(error), message.user_id, json.dumps(event)))

    def _write(self, messages: Sequence[Message]) -> None:
        events_of: dict[str, Rows] = {}
        for message in messages:
            events_of.setdefault(message.user_id, []).extend(message.events)
        if not events_of:
            return
        self._duration_ms = {track: ms for message in messages for track, ms in message.duration_ms.items()}
        fresh = self._apply_with_retry(events_of)
        self._metrics.events.labels("applied").inc(fresh)
        self._metrics.events.labels("nothing_new").inc(sum(map(len, events_of.values())) - fresh)

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
                logger.exception(
                    "the online store cannot be opened; is there a `feast apply` to come? It is tried again"
                )
            except Exception as error:
                logger.error("the online store took no events: %s; they are tried again", error)
            self._metrics.retries.inc()
            if self._stop_event.wait(RETRY_S):
                raise ConsumerStopped("the process ends while the online store is away; the broker keeps its events")
