"""Producer and consumer for Kafka, where a consumer group assigns each partition to one consumer at a time.

The user id is the message key, so all messages of a user are in one partition. Applied messages remain until the topic's
retention ends. Independent of the application of messages.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka import Topic as KafkaTopic
from faststream.kafka.message import KafkaMessage
from faststream.kafka.prometheus import KafkaPrometheusMiddleware
from prometheus_client import REGISTRY, CollectorRegistry

from sequences.streaming.apply_messages import EventApplier
from sequences.streaming.message import TOPIC, Message, Topic
from sequences.streaming.metrics import ConsumerMetrics

MAX_BATCH_MESSAGES = 512
POLL_INTERVAL_S, LAG_TIMEOUT_S = 1.0, 5.0
SESSION_TIMEOUT_MS = 10_000
"""Time without heartbeats after which the group reassigns a consumer's partitions; brokers require at least 6 s by default."""
REPLICATION_FACTOR = 3

logger = logging.getLogger(__name__)


def parse_servers(url: str) -> list[str]:
    """The servers of a `kafka://host:port,host:port` URL."""
    return url.removeprefix("kafka://").rstrip("/").split(",")


async def create_topics(url: str, topic: Topic) -> None:
    """Create the topic and its dead-letter topic if they do not exist, with three replicas if there are enough brokers.

    Producers and consumers both call this first, because topics that a broker creates automatically get its default
    number of partitions, usually one. If the broker refuses, the reason is logged and its own topics are used.

    Raises:
        KafkaError: No broker responds.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=parse_servers(url))
    await admin.start()
    try:
        cluster = await admin.describe_cluster()
        brokers = [broker["node_id"] for broker in cluster["brokers"]]
        if cluster["controller_id"] not in brokers:
            raise KafkaError("none of its brokers is the controller")
        replicas = min(REPLICATION_FACTOR, len(brokers))
        topics = [NewTopic(topic.name, topic.partitions, replicas), NewTopic(topic.dead_letter_name, 1, replicas)]
        response = await admin.create_topics(topics)
        for name, code, *details in response.topic_errors:
            if code and for_code(code) is not TopicAlreadyExistsError:
                logger.warning("the broker did not create topic %s: %s %s", name, for_code(code).__name__, *details)
    except KafkaError as error:
        logger.warning(
            "the broker did not create the topics; create them with %d partitions: %r", topic.partitions, error
        )
    finally:
        await admin.close()


async def _start(broker: KafkaBroker, url: str, topic: Topic) -> None:
    await create_topics(url, topic)
    try:
        await broker.start()
    except BaseException:
        await broker.stop()  # closes partially opened connections
        raise


class TopicSender:
    """Producer; must be used in one event loop."""

    def __init__(self, url: str, topic: Topic = TOPIC) -> None:
        self._url, self._topic = url, topic
        self._broker = KafkaBroker(
            parse_servers(url), logger=logger, log_level=logging.DEBUG, acks="all", enable_idempotence=True
        )
        self._is_started = False
        self._start_lock = asyncio.Lock()

    async def send(self, messages: Iterable[Message]) -> None:
        """Send messages and wait for the broker's acknowledgement of all; the order within a partition is kept.

        Raises:
            KafkaError, OSError: Some messages may not have been delivered; sending all again is safe (idempotent).
        """
        async with self._start_lock:
            if not self._is_started:
                await _start(self._broker, self._url, self._topic)
                self._is_started = True
        sent = [
            await self._broker.publish(message.to_bytes(), self._topic.name, key=_key(message.user_id), no_confirm=True)
            for message in messages
        ]
        await asyncio.gather(*(future for future in sent if asyncio.isfuture(future)))

    async def close(self) -> None:
        """Flush pending messages and close the connection."""
        await self._broker.stop()


class TopicConsumer:
    """One member of the consumer group."""

    def __init__(
        self,
        url: str,
        applier: EventApplier,
        metrics: ConsumerMetrics,
        registry: CollectorRegistry = REGISTRY,
        topic: Topic = TOPIC,
        session_timeout_ms: int = SESSION_TIMEOUT_MS,
    ) -> None:
        self._url, self._applier, self._metrics, self._topic = url, applier, metrics, topic
        self._in_flight_ms: dict[int, int] = {}  # partition ▸ send time of the oldest message that is being applied
        self._broker = KafkaBroker(
            parse_servers(url),
            logger=logger,
            log_level=logging.DEBUG,
            apply_types=False,
            acks="all",
            middlewares=[KafkaPrometheusMiddleware(registry=registry)],
        )
        self.subscriber = self._broker.subscriber(
            KafkaTopic(topic.name, declare=False),
            group_id=topic.group,
            session_timeout_ms=session_timeout_ms,
            heartbeat_interval_ms=session_timeout_ms // 3,
            auto_offset_reset="earliest",
            batch=True,
            max_records=MAX_BATCH_MESSAGES,
            ack_policy=AckPolicy.NACK_ON_ERROR,
            decoder=_identity,
            no_reply=True,
        )
        self.subscriber(self._handle)

    async def run(self, stop_event: asyncio.Event) -> None:
        """Consume until `stop_event` is set; then leave the group."""
        try:
            while not (stop_event.is_set() or await self._try_start()):
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop_event.wait(), POLL_INTERVAL_S)
            while not stop_event.is_set():
                try:
                    # The client itself has no timeout and would retry forever.
                    await asyncio.wait_for(self._report_lag(), LAG_TIMEOUT_S)
                except (KafkaError, TimeoutError) as error:
                    logger.error("could not read the consumer lag from the broker: %r", error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop_event.wait(), POLL_INTERVAL_S)
        finally:
            await self._broker.stop()

    async def _try_start(self) -> bool:
        try:
            await _start(self._broker, self._url, self._topic)
        except (KafkaError, OSError) as error:
            logger.error("the broker does not respond: %s; retrying", error)
            return False
        return True

    async def _handle(self, message: KafkaMessage) -> None:
        # On an exception nothing is acknowledged: FastStream seeks back to the first message of the batch.
        records: Any = message.raw_message
        for record in records:
            self._in_flight_ms.setdefault(record.partition, record.timestamp)
        for letter in await self._applier.apply([record.value or b"" for record in records]):
            await self._broker.publish(letter.to_bytes(), self._topic.dead_letter_name, key=_key(letter.user_id))
        self._in_flight_ms.clear()

    async def _report_lag(self) -> None:
        consumer = self.subscriber.consumer
        if consumer is None:
            return
        # Read before the first await, during which partitions may be reassigned.
        end_offsets = {partition: consumer.highwater(partition) or 0 for partition in consumer.assignment()}
        lags = {
            partition.partition: max(0, end - (await consumer.committed(partition) or 0))
            for partition, end in end_offsets.items()
        }
        self._metrics.owned_partitions.set(len(lags))
        for partition in range(self._topic.partitions):
            sent_ms = self._in_flight_ms.get(partition) if partition in lags else None
            age_s = max(0.0, time.time() - sent_ms / 1000) if sent_ms else 0.0
            # Partitions of other consumers are reported by them, here as 0.
            self._metrics.lag_messages.labels(str(partition)).set(lags.get(partition, 0))
            self._metrics.oldest_message_seconds.labels(str(partition)).set(age_s)


async def _identity(message: KafkaMessage) -> KafkaMessage:
    return message


def _key(user_id: str) -> bytes:
    return user_id.encode("utf-8", "surrogatepass")
