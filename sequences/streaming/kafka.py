"""Messages through a topic of Kafka, whose group gives every partition one consumer at a time.

The user is the message's key, so that a user is in one partition. What was applied stays until the topic's own retention
ends. Knows nothing about what applying means.
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

from sequences.streaming.apply import EventApplier
from sequences.streaming.message import TOPIC, Message, Topic
from sequences.streaming.metrics import ConsumerMetrics

MAX_BATCH_MESSAGES = 512
POLL_INTERVAL_S, LAG_TIMEOUT_S = 1.0, 5.0
SESSION_TIMEOUT_MS = 10_000
"""How long a consumer may be silent until the group gives its partitions to others; a broker allows no less than 6 s unless told."""
REPLICATION_FACTOR = 3

logger = logging.getLogger(__name__)


def parse_servers(url: str) -> list[str]:
    """`kafka://host:port,host:port` as a list."""
    return url.removeprefix("kafka://").rstrip("/").split(",")


async def create_topics(url: str, topic: Topic) -> None:
    """Make what is not there of the topic and that of its dead letters, three times replicated where there are so many brokers.

    Whoever comes first does it: a broker that makes a topic by itself gives it its own number of partitions, mostly one.
    A broker that refuses is left to its own topics, and the reason is logged.

    Raises:
        KafkaError: nobody answers.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=parse_servers(url))
    await admin.start()
    try:
        cluster = await admin.describe_cluster()
        brokers = [broker["node_id"] for broker in cluster["brokers"]]
        if cluster["controller_id"] not in brokers:
            raise KafkaError("none of its brokers is the controller")
        replicas = min(REPLICATION_FACTOR, len(brokers))
        wanted = [NewTopic(topic.name, topic.partitions, replicas), NewTopic(topic.dead_letter_name, 1, replicas)]
        answer = await admin.create_topics(wanted)
        for name, code, *words in answer.topic_errors:
            if code and for_code(code) is not TopicAlreadyExistsError:
                logger.warning("the broker makes no topic %s: %s %s", name, for_code(code).__name__, *words)
    except KafkaError as error:
        logger.warning("the broker makes no topics when asked, which need %d partitions: %r", topic.partitions, error)
    finally:
        await admin.close()


async def _start(broker: KafkaBroker, url: str, topic: Topic) -> None:
    await create_topics(url, topic)
    try:
        await broker.start()
    except BaseException:
        await broker.stop()  # what it had opened
        raise


class TopicSender:
    """Publishes; everything of it happens in one event loop."""

    def __init__(self, url: str, topic: Topic = TOPIC) -> None:
        self._url, self._topic = url, topic
        self._broker = KafkaBroker(
            parse_servers(url), logger=logger, log_level=logging.DEBUG, acks="all", enable_idempotence=True
        )
        self._is_started = False

    async def send(self, messages: Iterable[Message]) -> None:
        """Returns when the broker has all of them, each partition's in this order.

        Raises:
            KafkaError, OSError: it may have none or some of them; sent again, they do no harm.
        """
        if not self._is_started:
            await _start(self._broker, self._url, self._topic)
            self._is_started = True
        sent = [
            await self._broker.publish(message.to_bytes(), self._topic.name, key=_key(message.user_id), no_confirm=True)
            for message in messages
        ]
        await asyncio.gather(*(one for one in sent if asyncio.isfuture(one)))

    async def close(self) -> None:
        """Sends what is waiting and closes the connection."""
        await self._broker.stop()


class TopicConsumer:
    """One process of the group."""

    def __init__(
        self,
        url: str,
        applying: EventApplier,
        metrics: ConsumerMetrics,
        registry: CollectorRegistry = REGISTRY,
        topic: Topic = TOPIC,
        session_timeout_ms: int = SESSION_TIMEOUT_MS,
    ) -> None:
        self._url, self._applier, self._metrics, self._topic = url, applying, metrics, topic
        self._in_flight_ms: dict[int, int] = {}  # partition ▸ when the oldest message was sent that is being applied
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

    async def run(self, ending: asyncio.Event) -> None:
        """Consume until `ending`; then leave the group."""
        try:
            while not (ending.is_set() or await self._try_start()):
                with suppress(TimeoutError):
                    await asyncio.wait_for(ending.wait(), POLL_INTERVAL_S)
            while not ending.is_set():
                try:
                    # It would ask for ever.
                    await asyncio.wait_for(self._report_lag(), LAG_TIMEOUT_S)
                except (KafkaError, TimeoutError) as error:
                    logger.error("the broker does not tell the lag: %r", error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(ending.wait(), POLL_INTERVAL_S)
        finally:
            await self._broker.stop()

    async def _try_start(self) -> bool:
        try:
            await _start(self._broker, self._url, self._topic)
        except (KafkaError, OSError) as error:
            logger.error("the broker does not answer: %s; it is tried again", error)
            return False
        return True

    async def _handle(self, message: KafkaMessage) -> None:
        # What raises is not acknowledged: FastStream goes back to the first of the batch.
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
        # Asked at once: while something is awaited a partition may become another consumer's.
        end_of = {one: consumer.highwater(one) or 0 for one in consumer.assignment()}
        waiting = {one.partition: max(0, end - (await consumer.committed(one) or 0)) for one, end in end_of.items()}
        self._metrics.owned_partitions.set(len(waiting))
        for partition in range(self._topic.partitions):
            sent_ms = self._in_flight_ms.get(partition) if partition in waiting else None
            age_s = max(0.0, time.time() - sent_ms / 1000) if sent_ms else 0.0
            # What another consumer has now is told by that one.
            self._metrics.lag_messages.labels(str(partition)).set(waiting.get(partition, 0))
            self._metrics.oldest_message_seconds.labels(str(partition)).set(age_s)


async def _identity(message: KafkaMessage) -> KafkaMessage:
    return message


def _key(user_id: str) -> bytes:
    return user_id.encode("utf-8", "surrogatepass")
