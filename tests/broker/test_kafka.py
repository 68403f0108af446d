"""Kafka in FastStream's memory: what is published is applied, and what cannot be goes to the topic of dead letters."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from sequences.broker.applying import Applying
from sequences.broker.message import messages
from sequences.broker.metrics import Metrics
from tests.broker.test_applying import Store
from tests.broker.world import TOPIC

faststream = pytest.importorskip("faststream.kafka")
kafka = pytest.importorskip("sequences.broker.kafka")


def test_servers_of_an_address() -> None:
    assert kafka.servers("kafka://a:9092,b:9093/") == ["a:9092", "b:9093"]


def test_messages_are_applied_and_bad_ones_kept(tmp_path: Path) -> None:
    store, registry = Store(), CollectorRegistry()
    metrics = Metrics(registry)
    broker = faststream.KafkaBroker(logger=None, apply_types=False)
    applying = Applying(lambda _: store, tmp_path / "forgotten.json", metrics)
    kafka.TopicConsumer("kafka://nowhere", applying, metrics, registry, TOPIC, broker)
    dead: list[bytes] = []

    @broker.subscriber(TOPIC.dead)
    async def keep(letter: bytes) -> None:
        dead.append(letter)

    events = {
        "u": [{"event_id": "1", "action": "click", "target_id": "t"}],
        "v": [{"event_id": "bad", "action": "play", "target_id": "t"}],
    }

    async def run() -> None:
        async with faststream.TestKafkaBroker(broker):
            await kafka.TopicSender("kafka://nowhere", TOPIC, broker).send(messages(events, lambda _: 7))

    asyncio.run(run())
    assert store.calls == [{"u": ["1"]}]
    assert len(dead) == 1 and "bad" in str(dead[0])
    assert registry.get_sample_value("segue_broker_events_total", {"outcome": "dead"}) == 1
