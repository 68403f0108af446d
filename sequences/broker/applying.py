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

import forgotten
from sequences.broker.message import DeadLetter, Message
from sequences.broker.metrics import Metrics

RETRY_S = 0.5
AT_FAULT = (ValueError, TypeError, LookupError, ArithmeticError)
"""What applying raises where a row is at fault; everything else is taken for a store that is away, and tried again."""

Contents = Sequence[bytes]
Rows = list[Mapping[str, Any]]

logger = logging.getLogger(__name__)


class Stopped(RuntimeError):
    """The process ends while the store is away; what was not applied stays with the broker."""


class Writer(Protocol):
    """`OnlineWriter`, as it is needed here."""

    def apply_together(self, events_of: Mapping[str, Rows]) -> int:
        """Applies events, user ▸ events; how many were new."""


class Applying:
    """Applies what several partitions have read at the same time in one go; everything of it happens in one thread at a time.

    Args:
        open_writer: opens the online store, given the length of a track; tried again until it works.
        file: the list of forgotten users; what comes of them is dropped.
    """

    def __init__(
        self, open_writer: Callable[[Callable[[str], int | None]], Writer], file: Path, metrics: Metrics
    ) -> None:
        self._open, self._file, self._metrics = open_writer, file, metrics
        self._writer: Writer | None = None
        self._duration_ms: dict[str, int] = {}
        self._waiting: list[tuple[Contents, asyncio.Future[list[DeadLetter]]]] = []
        self._task: asyncio.Task[None] | None = None
        self._ending = threading.Event()
        self._turn = threading.Lock()
        self._taken_up = ""

    def open(self) -> None:
        """Opens the online store ahead of the first events, which need not wait for it then; if it cannot be, they do."""
        with self._turn, suppress(Exception):
            self._writer = self._open(self._duration_of)

    async def apply(self, contents: Contents) -> list[DeadLetter]:
        """Returns when everything is in the online store but for what is returned.

        Raises:
            Stopped: `stop` was called before the store took it.
        """
        answer: asyncio.Future[list[DeadLetter]] = asyncio.get_running_loop().create_future()
        self._waiting.append((contents, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await answer

    def stop(self) -> None:
        """Wait for the store no longer."""
        self._ending.set()

    def taken_up(self) -> str:
        """The digest of the newest list of forgotten users that this process has taken up: nothing of theirs is written any
        more. Does not wait for a store that is away.
        """
        if self._turn.acquire(blocking=False):
            try:
                self._taken_up = forgotten.digest(forgotten.stored(self._file))
            finally:
                self._turn.release()
        return self._taken_up

    async def _work(self) -> None:
        while self._waiting:
            jobs, self._waiting = self._waiting, []
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

    def _apply(self, jobs: Sequence[Contents]) -> list[list[DeadLetter]]:
        with self._turn:
            gone = forgotten.read(self._file)
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
                self._metrics.seconds.observe(max(0, now_us - message.sent_us) / 1e6)
        return letters

    def _apply_messages(self, messages: Sequence[tuple[Message, list[DeadLetter]]]) -> None:
        try:
            self._write([message for message, _ in messages])
        except AT_FAULT:
            # One row is at fault; the others must not wait for it.
            for message, letters in messages:
                self._apply_message(message, letters)

    def _apply_message(self, message: Message, letters: list[DeadLetter]) -> None:
        try:
            self._write([message])
        except AT_FAULT:
            for event in message.events:
                try:
                    self._write([Message(message.user_id, [event], message.duration_ms)])
                except AT_FAULT as error:
                    logger.error("an event of a user cannot be applied, it goes to the dead letters: %r", error)
                    letters.append(DeadLetter(repr(error), message.user_id, json.dumps(event)))

    def _write(self, messages: Sequence[Message]) -> None:
        events_of: dict[str, Rows] = {}
        for message in messages:
            events_of.setdefault(message.user_id, []).extend(message.events)
        if not events_of:
            return
        self._duration_ms = {track: ms for message in messages for track, ms in message.duration_ms.items()}
        fresh = self._again_and_again(events_of)
        self._metrics.events.labels("applied").inc(fresh)
        self._metrics.events.labels("nothing_new").inc(sum(map(len, events_of.values())) - fresh)

    def _duration_of(self, track_id: str) -> int | None:
        return self._duration_ms.get(track_id)

    def _again_and_again(self, events_of: Mapping[str, Rows]) -> int:
        while True:
            try:
                if self._writer is None:
                    self._writer = self._open(self._duration_of)
                return self._writer.apply_together(events_of)
            except AT_FAULT:
                if self._writer is not None:
                    raise
                logger.exception(
                    "the online store cannot be opened; is there a `feast apply` to come? It is tried again"
                )
            except Exception as error:
                logger.error("the online store took no events: %s; they are tried again", error)
            self._metrics.retries.inc()
            if self._ending.wait(RETRY_S):
                raise Stopped("the process ends while the online store is away; the broker keeps its events")
