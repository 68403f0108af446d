"""Kafka-protocol consumers are killed, suspended and added without loss, duplication or reordering of events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import confluent_kafka as confluent
import feast
import pytest
from aiokafka.errors import KafkaConnectionError
from prometheus_client import CollectorRegistry

from local.ports import free_port
from sequences.online.reader_writer import OnlineReader, OnlineWriter
from sequences.streaming.apply_messages import EventApplier
from sequences.streaming.kafka import parse_servers
from sequences.streaming.metrics import ConsumerMetrics
from sequences.streaming.publisher import Publisher
from sequences.views import SEQUENCE_VIEWS
from tests.integration.sequences.streaming import consumers
from tests.integration.sequences.streaming.consumers import TOPIC, duration_of, event, until
from tests.support import kafka, valkey
from tests.support.sequences.event_rows import write_events
from tests.support.sequences.feast_stores import feature_store

USERS = 12


@pytest.fixture
def url() -> Iterator[str]:
    with kafka.running() as url:
        yield url


@pytest.fixture
def store(tmp_path: Path) -> Iterator[feast.FeatureStore]:
    write_events(tmp_path / "events.parquet", [])
    with valkey.running() as server:
        yield feature_store(tmp_path, SEQUENCE_VIEWS, valkey.online_store(server))


@pytest.fixture
def publisher(url: str) -> Iterator[Publisher]:
    publisher = Publisher(url, duration_of, TOPIC)
    yield publisher
    publisher.close()


@pytest.fixture
def offset_client(url: str) -> Iterator[Any]:
    """A client that reads offsets without joining the group."""
    client = confluent.Consumer({"bootstrap.servers": ",".join(parse_servers(url)), "group.id": TOPIC.group})
    yield client
    client.close()


def waiting(offset_client: Any) -> int:
    """Number of messages that the group has not committed."""
    partitions = [confluent.TopicPartition(TOPIC.name, number) for number in range(TOPIC.partitions)]
    return sum(
        offset_client.get_watermark_offsets(one, timeout=10)[1] - max(0, one.offset)
        for one in offset_client.committed(partitions, timeout=10)
    )


def letters(offset_client: Any) -> list[bytes]:
    """The contents of the dead-letter topic."""
    found = []
    for number in range(kafka.PARTITIONS):
        partition = confluent.TopicPartition(TOPIC.dead_letter_name, number, 0)
        _, end = offset_client.get_watermark_offsets(partition, timeout=10)
        offset_client.assign([partition])
        found += [offset_client.poll(10).value() for _ in range(end)]
    return found


class Away:
    """A store that rejects all writes."""

    def apply_batch(self, events_of: Any) -> int:
        raise ConnectionError("store is away")


def with_a_consumer(
    url: str, store: feast.FeatureStore | None, folder: Path, check: Callable[[CollectorRegistry], Any]
) -> None:
    """Run a consumer in this process and `check` (of its metrics) in another thread."""

    async def run() -> None:
        registry = CollectorRegistry()
        metrics, stop_event = ConsumerMetrics(registry), asyncio.Event()
        applier = EventApplier(
            lambda length: OnlineWriter(store, length) if store else Away(), folder / "forgotten.json", metrics
        )
        running = asyncio.create_task(consumers.make_consumer(url, applier, metrics, registry).run(stop_event))
        try:
            await asyncio.to_thread(check, registry)
        finally:
            applier.stop()
            stop_event.set()
            await running

    asyncio.run(run())


def metric_values(registry: CollectorRegistry, name: str) -> list[float]:
    """Values of a metric, by partition."""
    partitions = [{"partition": str(number)} for number in range(TOPIC.partitions)]
    return [registry.get_sample_value(name, partition) or 0.0 for partition in partitions]


def test_server_list_of_a_url() -> None:
    assert parse_servers("kafka://a:9092,b:9093/") == ["a:9092", "b:9093"]


def test_killed_suspended_and_added_consumers_end_in_the_same_state_as_one_process(
    tmp_path: Path, url: str, store: feast.FeatureStore, publisher: Publisher, offset_client: Any
) -> None:
    reports = consumers.reports(300, USERS)
    consumers.publish_with_failures(
        reports,
        publisher.publish,
        lambda: consumers.consumer(url, store, tmp_path),
        lambda: waiting(offset_client) == 0,
    )
    consumers.assert_same_state_as_one_process(reports, store, tmp_path)


def test_dead_letters_are_stored_and_counted_and_do_not_block_others(
    tmp_path: Path, url: str, store: feast.FeatureStore, publisher: Publisher, offset_client: Any
) -> None:
    good = [event(number, "u1", action="click", played_ms=None) for number in range(4)]
    publisher.publish({"u1": [*good[:2], event(8, "u1", action="hum", played_ms=None)]})
    strange = confluent.Producer({"bootstrap.servers": ",".join(parse_servers(url))})
    strange.produce(TOPIC.name, b"what is this", key=b"u1")
    assert strange.flush(30) == 0
    publisher.publish({"u1": good[2:]})

    def check(registry: CollectorRegistry) -> None:
        until(lambda: waiting(offset_client) == 0)
        assert registry.get_sample_value("segue_broker_events_total", {"outcome": "dead"}) == 2
        assert registry.get_sample_value("segue_broker_events_total", {"outcome": "applied"}) == 4
        assert registry.get_sample_value("segue_broker_owned_partitions") == TOPIC.partitions

    with_a_consumer(url, store, tmp_path, check)
    ids = list(OnlineReader(store).read("u1")["recent_clicks"]["event_id"])
    assert sorted(ids) == [one["event_id"] for one in good]
    kept = sorted(map(str, letters(offset_client)))
    assert len(kept) == 2
    assert any("hum" in letter for letter in kept) and any("what is this" in letter for letter in kept)


def test_unapplied_messages_are_reported_as_lag_and_kept(
    tmp_path: Path, url: str, store: feast.FeatureStore, publisher: Publisher, offset_client: Any
) -> None:
    users = [f"u{number}" for number in range(USERS)]
    for number in range(3):
        publisher.publish({user: [event(number, user, event_id=f"{user}:{number}", action="like")] for user in users})

    def is_told(registry: CollectorRegistry) -> bool:
        is_late = max(metric_values(registry, "segue_broker_oldest_seconds")) > 0.2
        return is_late and sum(metric_values(registry, "segue_broker_waiting_messages")) == 3 * USERS

    with_a_consumer(url, None, tmp_path, lambda registry: until(lambda: is_told(registry)))
    assert waiting(offset_client) == 3 * USERS

    def is_done(registry: CollectorRegistry) -> bool:
        return waiting(offset_client) == 0 and not any(metric_values(registry, "segue_broker_oldest_seconds"))

    with_a_consumer(url, store, tmp_path, lambda registry: until(lambda: is_done(registry)))
    for user in users:
        assert sorted(OnlineReader(store).read(user)["recent_events"]["event_id"]) == [f"{user}:{n}" for n in range(3)]


def test_consumer_waits_for_an_unavailable_broker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nowhere = f"kafka://127.0.0.1:{free_port()}"
    with_a_consumer(nowhere, None, tmp_path, lambda _: until(lambda: "the broker does not respond" in caplog.text))
    with closing(Publisher(nowhere, duration_of, TOPIC)) as publisher, pytest.raises(KafkaConnectionError):
        publisher.publish({"u1": [event(1, "u1")]})


def test_consumer_survives_a_broker_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as servers_of_here:
        url = servers_of_here.enter_context(kafka.running())

        def check(registry: CollectorRegistry) -> None:
            until(lambda: registry.get_sample_value("segue_broker_owned_partitions") == TOPIC.partitions)
            servers_of_here.close()
            until(lambda: "could not read the consumer lag" in caplog.text)

        with_a_consumer(url, None, tmp_path, check)
