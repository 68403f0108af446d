"""Producer and consumer for Redis Streams: one stream per partition, with one consumer at a time.

A stream contains only messages that are not applied; applied messages are deleted. A new owner therefore reads the stream
from its beginning, regardless of the progress of the previous owner. Independent of the application of messages.

Poison message detection: isolation of messages that were in progress when their consumer crashed.

One of them may have caused the crash. The next owner of the stream applies each of them separately and counts the attempt
beforehand, so that a message that crashes consumers is identified and other messages are not blamed. Independent of the
application of messages.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from faststream import AckPolicy
from faststream.exceptions import StopConsume
from faststream.message import AckStatus
from faststream.redis import RedisBroker, StreamSub
from faststream.redis.message import DATA_KEY, RedisBatchStreamMessage
from faststream.redis.parser import BinaryMessageFormatV1
from faststream.redis.prometheus import RedisPrometheusMiddleware
from prometheus_client import REGISTRY, CollectorRegistry
from redis.exceptions import RedisError

from sequences.streaming.apply_messages import EventApplier
from sequences.streaming.leases import LEASE_MS, PartitionLeases
from sequences.streaming.message import TOPIC, DeadLetter, Message, Topic
from sequences.streaming.metrics import ConsumerMetrics

MAX_ISOLATED_ATTEMPTS = 2
"""Isolated attempts per message; including the first, batched attempt, it has then crashed three consumers."""

EntryId = tuple[int, int]


class PoisonMessageTracker:
    """Tracker for the partitions of one consumer; `client` is a redis-py asyncio client."""

    def __init__(self, client: Any, topic: Topic) -> None:
        self._client, self._topic = client, topic
        self._last_suspected: dict[int, EntryId] = {}

    async def take_over(self, partition: int, group: str) -> None:
        """Mark messages that earlier groups have delivered but not finished as suspects, and remove these groups."""
        stream = self._topic.stream(partition)
        self._last_suspected.pop(partition, None)
        for other in await self._client.xinfo_groups(stream):
            if other["name"] == group.encode():
                continue
            if other["pending"]:
                last = (await self._client.xpending(stream, other["name"]))["max"]
                self._last_suspected[partition] = max(
                    self._last_suspected.get(partition, (0, 0)), _parse_entry_id(last)
                )
            await self._client.xgroup_destroy(stream, other["name"])

    def count_suspected(self, partition: int, ids: list[bytes]) -> int:
        """Number of suspects among these ids in stream order; suspects are the first ones."""
        last = self._last_suspected.get(partition, (0, 0))
        return sum(_parse_entry_id(entry) <= last for entry in ids)

    async def record_attempt(self, partition: int, entry: bytes) -> int:
        """Count an attempt that is about to start; returns the number of attempts including it."""
        return int(await self._client.hincrby(self._attempts_key(partition), entry, 1))

    async def undo_attempt(self, partition: int, entry: bytes) -> None:
        """Uncount an attempt that failed for another reason without crashing the consumer."""
        await self._client.hincrby(self._attempts_key(partition), entry, -1)

    async def clear_attempts(self, partition: int, entry: bytes) -> None:
        """Delete the counter of a message that has left the stream."""
        await self._client.hdel(self._attempts_key(partition), entry)

    def _attempts_key(self, partition: int) -> str:
        return f"{self._topic.stream(partition)}:tries"


def _parse_entry_id(entry: bytes) -> EntryId:
    milliseconds, number = entry.split(b"-")
    return int(milliseconds), int(number)


SOCKET_TIMEOUT_S = 2.0
MAX_BATCH_MESSAGES = 512
RENEWALS_PER_LEASE = 5
READS_PER_LEASE = 20
SHUTDOWN_GRACE_S = 2.0
"""Time that releasing a partition waits for messages in progress; must be shorter than a lease."""

logger = logging.getLogger(__name__)


class StreamSender:
    """Producer; must be used in one event loop."""

    def __init__(self, url: str, topic: Topic = TOPIC) -> None:
        self._topic = topic
        self._broker = RedisBroker(
            url,
            logger=logger,
            log_level=logging.DEBUG,
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=SOCKET_TIMEOUT_S,
        )

    async def send(self, messages: Iterable[Message]) -> None:
        """Send messages and wait until Redis has all of them; the order within a partition is kept.

        Raises:
            RedisError, OSError: Some messages may not have been delivered; sending all again is safe (idempotent).
        """
        client: Any = await self._broker.connect()
        async with client.pipeline(transaction=False) as commands:
            for message in messages:
                stream = self._topic.stream(self._topic.partition_of(message.user_id))
                await self._broker.publish(message.to_bytes(), stream=stream, pipeline=commands)
            await commands.execute()

    async def close(self) -> None:
        """Close the connection."""
        await self._broker.stop()


class LeaseExpired(RuntimeError):
    """This consumer was suspended for longer than its lease."""


class StreamConsumer:
    """Consumer that leases its fair share of the partitions and releases partitions in excess of it."""

    def __init__(
        self,
        url: str,
        applier: EventApplier,
        metrics: ConsumerMetrics,
        registry: CollectorRegistry = REGISTRY,
        topic: Topic = TOPIC,
        lease_ms: int = LEASE_MS,
    ) -> None:
        self._applier, self._metrics, self._topic, self._lease_ms = applier, metrics, topic, lease_ms
        self._consumer_name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._broker = RedisBroker(
            url,
            logger=logger,
            log_level=logging.DEBUG,
            apply_types=False,
            middlewares=[RedisPrometheusMiddleware(registry=registry)],
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=SOCKET_TIMEOUT_S,
            graceful_timeout=SHUTDOWN_GRACE_S,
        )
        self._client: Any = None
        self._leases: PartitionLeases
        self._poison_tracker: PoisonMessageTracker
        self._isolation_lock = asyncio.Lock()
        self._owned: dict[int, Any] = {}

    async def run(self, stop_event: asyncio.Event) -> None:
        """Consume until `stop_event` is set; then release all partitions."""
        await self._broker.start()
        self._client = await self._broker.connect()
        self._leases = PartitionLeases(self._client, self._topic, self._consumer_name, self._lease_ms)
        self._poison_tracker = PoisonMessageTracker(self._client, self._topic)
        try:
            while not stop_event.is_set():
                try:
                    await self._rebalance()
                except (RedisError, OSError) as error:
                    logger.error("the broker does not respond: %s; retrying", error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop_event.wait(), self._lease_ms / 1000 / RENEWALS_PER_LEASE)
        finally:
            with suppress(RedisError, OSError):
                for partition in list(self._owned):
                    await self._release_partition(partition)
                await self._leases.leave()
            await self._broker.stop()

    async def _rebalance(self) -> None:
        for partition in list(self._owned):
            if not await self._leases.renew(partition):
                logger.warning("the lease of partition %d expired and another consumer may own it", partition)
                await self._stop(partition)
            elif not self._owned[partition].running:
                await self._release_partition(partition)
        fair = await self._leases.fair_share()
        for partition in list(self._owned)[fair:]:
            await self._release_partition(partition)
        for partition in range(self._topic.partitions):
            if len(self._owned) >= fair:
                break
            if partition not in self._owned and await self._leases.acquire(partition):
                await self._start(partition)
        await self._leases.record_suppression_digest(self._applier.suppression_digest())
        self._metrics.owned_partitions.set(len(self._owned))
        await self._report_lag()

    async def _start(self, partition: int) -> None:
        stream, group = self._topic.stream(partition), await self._create_exclusive_group(partition)
        subscriber = self._broker.subscriber(
            stream=StreamSub(
                stream,
                group=group,
                consumer=self._consumer_name,
                batch=True,
                max_records=MAX_BATCH_MESSAGES,
                # Short, so that a blocking read does not delay `stop`.
                polling_interval=self._lease_ms // READS_PER_LEASE,
            ),
            ack_policy=AckPolicy.NACK_ON_ERROR,
            parser=partial(self._skip_parsing, group),
            decoder=_identity,
            no_reply=True,
            persistent=False,
        )

        async def handle(message: RedisBatchStreamMessage) -> None:
            await self._handle(partition, message)

        subscriber(handle)
        self._owned[partition] = subscriber
        await subscriber.start()
        logger.info("consuming partition %d", partition)

    async def _create_exclusive_group(self, partition: int) -> str:
        """Create a group that reads the stream from its beginning, and remove all other groups.

        A previous owner that was suspended and resumes cannot read messages through its removed group.
        """
        stream, group = self._topic.stream(partition), f"{self._topic.group}:{uuid.uuid4().hex[:8]}"
        await self._client.xgroup_create(stream, group, id="0", mkstream=True)
        await self._poison_tracker.take_over(partition, group)
        return group

    async def _handle(self, partition: int, message: RedisBatchStreamMessage) -> None:
        try:
            ids, contents = message.raw_message["message_ids"], list(map(decode_content, message.raw_message["data"]))
            suspected = self._poison_tracker.count_suspected(partition, ids)
            for entry, content in zip(ids[:suspected], contents, strict=False):
                # One at a time per process: a message applied concurrently would become a suspect, too.
                async with self._isolation_lock:
                    await self._apply_isolated(partition, message, entry, content)
            if suspected < len(ids):
                await self._apply(partition, message, ids[suspected:], contents[suspected:])
            # Already acknowledged in `_finish`; FastStream would need another round trip.
            message.committed = AckStatus.ACKED
        except Exception as error:
            # Order must be kept: release the partition, so that it is read again from its first unapplied message.
            logger.warning("releasing partition %d: %r", partition, error)
            raise StopConsume from error

    async def _apply(
        self, partition: int, message: RedisBatchStreamMessage, ids: Sequence[bytes], contents: Sequence[bytes]
    ) -> None:
        if not self._leases.holds(partition):
            raise LeaseExpired(f"the lease of partition {partition} expired; its next owner reads these messages again")
        await self._finish(partition, message, ids, await self._applier.apply(contents))

    async def _apply_isolated(
        self, partition: int, message: RedisBatchStreamMessage, entry: bytes, content: bytes
    ) -> None:
        attempts = await self._poison_tracker.record_attempt(partition, entry)
        if attempts > MAX_ISOLATED_ATTEMPTS:
            logger.error("message moved to the dead letters: %d consumers crashed while applying it", attempts)
            self._metrics.events.labels("dead").inc()
            reason = f"{attempts} consumers crashed while applying it"
            letter = DeadLetter(reason, "", content.decode("utf-8", "replace"))
            await self._finish(partition, message, [entry], [letter])
        else:
            try:
                await self._apply(partition, message, [entry], [content])
            except BaseException:
                await self._poison_tracker.undo_attempt(partition, entry)
                raise
        await self._poison_tracker.clear_attempts(partition, entry)

    async def _finish(
        self, partition: int, message: RedisBatchStreamMessage, ids: Sequence[bytes], letters: Iterable[DeadLetter]
    ) -> None:
        for letter in letters:
            await self._broker.publish(letter.to_bytes(), stream=self._topic.dead_letter_name)
        stream = self._topic.stream(partition)
        async with self._client.pipeline(transaction=False) as commands:
            commands.xdel(stream, *ids)
            commands.xack(stream, message.group, *ids)
            await commands.execute()

    async def _release_partition(self, partition: int) -> None:
        await self._stop(partition)
        await self._leases.release(partition)

    async def _stop(self, partition: int) -> None:
        subscriber = self._owned.pop(partition)
        await subscriber.stop()

    async def _skip_parsing(self, group: str, raw: Any) -> RedisBatchStreamMessage:
        # FastStream's parser would decode, re-encode and decode every message, and one unreadable message would fail the
        # whole batch.
        return RedisBatchStreamMessage(raw, b"", consumer=self._client, group=group)

    async def _report_lag(self) -> None:
        seconds, microseconds = await self._client.time()
        async with self._client.pipeline(transaction=False) as commands:
            for partition in range(self._topic.partitions):
                commands.xlen(self._topic.stream(partition))
                commands.xrange(self._topic.stream(partition), count=1)
            commands.xlen(self._topic.dead_letter_name)
            *replies, dead_letters = await commands.execute()
        for partition, (length, first) in enumerate(zip(replies[::2], replies[1::2], strict=True)):
            sent_s = int(first[0][0].split(b"-")[0]) / 1000 if first else None
            age_s = 0.0 if sent_s is None else max(0.0, int(seconds) + int(microseconds) / 1e6 - sent_s)
            self._metrics.lag_messages.labels(str(partition)).set(length)
            self._metrics.oldest_message_seconds.labels(str(partition)).set(age_s)
        self._metrics.dead_letters.set(dead_letters)


async def _identity(message: RedisBatchStreamMessage) -> RedisBatchStreamMessage:
    return message


def decode_content(fields: dict[bytes, bytes]) -> bytes:
    """The encoded message or dead letter in a stream entry; for an entry in another format, the text of its fields."""
    content: bytes
    content, _ = BinaryMessageFormatV1.parse(fields.get(DATA_KEY.encode(), repr(fields).encode()))
    return content
