"""Messages through a topic of Kafka, whose group gives every partition one consumer at a time.

The user is the message's key, so that a user is in one partition. What was applied stays until the topic's own retention
ends. Knows nothing about what applying means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka import Topic as KafkaTopic
from faststream.kafka.message import KafkaMessage
from faststream.kafka.prometheus import KafkaPrometheusMiddleware
from prometheus_client import REGISTRY, CollectorRegistry

from sequences.broker.applying import Applying
from sequences.broker.message import TOPIC, Message, Topic
from sequences.broker.metrics import Metrics

AT_ONCE = 512
LOOK_EVERY_S = 1.0


def servers(url: str) -> list[str]:
    """`kafka://host:port,host:port` as a list."""
    return url.removeprefix("kafka://").rstrip("/").split(",")


class TopicSender:
    """Publishes; everything of it happens in one event loop."""

    def __init__(self, url: str, topic: Topic = TOPIC, broker: KafkaBroker | None = None) -> None:
        self._topic = topic
        self._broker = broker or KafkaBroker(servers(url), logger=None, acks="all", enable_idempotence=True)
        self._is_started = broker is not None

    async def send(self, messages: Iterable[Message]) -> None:
        """Returns when the broker has all of them, each partition's in this order.

        Raises:
            KafkaError, OSError: it may have none or some of them; sent again, they do no harm.
        """
        if not self._is_started:
            await self._broker.start()
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
        applying: Applying,
        metrics: Metrics,
        registry: CollectorRegistry = REGISTRY,
        topic: Topic = TOPIC,
        broker: KafkaBroker | None = None,
    ) -> None:
        self._applying, self._metrics, self._topic = applying, metrics, topic
        self._broker = broker or KafkaBroker(
            servers(url),
            logger=None,
            apply_types=False,
            acks="all",
            middlewares=[KafkaPrometheusMiddleware(registry=registry)],
        )
        self.subscriber = self._broker.subscriber(
            KafkaTopic(topic.name, num_partitions=topic.partitions),
            group_id=topic.group,
            auto_offset_reset="earliest",
            batch=True,
            max_records=AT_ONCE,
            ack_policy=AckPolicy.NACK_ON_ERROR,
            decoder=_as_it_is,
            no_reply=True,
        )
        self.subscriber(self._handle)

    async def run(self, ending: asyncio.Event) -> None:
        """Consume until `ending`; then leave the group."""
        await self._broker.start()
        try:
            while not ending.is_set():
                await self._tell_lag()
                with suppress(TimeoutError):
                    await asyncio.wait_for(ending.wait(), LOOK_EVERY_S)
        finally:
            await self._broker.stop()

    async def _handle(self, message: KafkaMessage) -> None:
        # What raises is not acknowledged: FastStream goes back to the first of the batch.
        records: Any = message.raw_message
        for letter in await self._applying.apply([record.value or b"" for record in records]):
            await self._broker.publish(letter.to_bytes(), self._topic.dead, key=_key(letter.user_id))

    async def _tell_lag(self) -> None:
        consumer = self.subscriber.consumer
        if consumer is None:
            return
        assigned = consumer.assignment()
        self._metrics.owned.set(len(assigned))
        for one in assigned:
            if (end := consumer.highwater(one)) is not None:
                done = await consumer.committed(one) or 0
                self._metrics.waiting.labels(str(one.partition)).set(max(0, end - done))


async def _as_it_is(message: KafkaMessage) -> KafkaMessage:
    return message


def _key(user_id: str) -> bytes:
    return user_id.encode("utf-8", "surrogatepass")
