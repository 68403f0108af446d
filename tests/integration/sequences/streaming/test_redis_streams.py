"""Redis-protocol consumers are killed, suspended and added without loss, duplication or reordering of events."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import feast
import pytest
import redis
from prometheus_client import CollectorRegistry

from config import settings
from privacy.broker import SuppressionListNotApplied, erase_users
from sequences.online.reader_writer import OnlineReader, OnlineWriter
from sequences.streaming.apply_messages import EventApplier
from sequences.streaming.message import DeadLetter, Message
from sequences.streaming.metrics import ConsumerMetrics
from sequences.streaming.publisher import Publisher
from sequences.views import SEQUENCE_VIEWS
from storage import suppression_list
from tests.integration.sequences.streaming import consumers
from tests.integration.sequences.streaming.consumers import LEASE_MS, PATIENCE_S, TOPIC, duration_of, event, until
from tests.support import valkey
from tests.support.sequences.event_rows import write_events
from tests.support.sequences.feast_stores import feature_store

redis_streams = pytest.importorskip("sequences.streaming.redis_streams", reason="faststream is not installed")
USERS = 12


@pytest.fixture
def server() -> Iterator[valkey.ValkeyServer]:
    with valkey.running() as server:
        yield server


@pytest.fixture
def url(server: valkey.ValkeyServer) -> str:
    return f"redis://{server.host}:{server.port}/2"


@pytest.fixture
def client(url: str) -> Any:
    return redis.Redis.from_url(url)


@pytest.fixture
def store(server: valkey.ValkeyServer, tmp_path: Path) -> feast.FeatureStore:
    write_events(tmp_path / "events.parquet", [])
    return feature_store(tmp_path, SEQUENCE_VIEWS, valkey.online_store(server))


@pytest.fixture
def publisher(url: str) -> Iterator[Publisher]:
    publisher = Publisher(url, duration_of, TOPIC)
    yield publisher
    publisher.close()


@pytest.fixture
def here(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> settings.Settings:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setenv("SEGUE_BROKER", url)
    return settings.load_settings()


def waiting(client: Any) -> int:
    return sum(client.xlen(TOPIC.stream(partition)) for partition in range(TOPIC.partitions))


def test_killed_suspended_and_added_consumers_end_in_the_same_state_as_one_process(
    tmp_path: Path, url: str, client: Any, store: feast.FeatureStore, publisher: Publisher
) -> None:
    reports = consumers.reports(300, USERS)
    consumers.publish_with_failures(
        reports, publisher.publish, lambda: consumers.consumer(url, store, tmp_path), lambda: waiting(client) == 0
    )
    assert client.xlen(TOPIC.dead_letter_name) == 0
    consumers.assert_same_state_as_one_process(reports, store, tmp_path)


def with_consumer(url: str, store: feast.FeatureStore, folder: Path, check: Callable[[], Any]) -> None:
    """Run a consumer in this process and `check` in another thread."""

    async def run() -> None:
        registry = CollectorRegistry()
        metrics, stop_event = ConsumerMetrics(registry), asyncio.Event()
        applier = EventApplier(lambda length: OnlineWriter(store, length), folder / "forgotten.json", metrics)
        one = redis_streams.StreamConsumer(url, applier, metrics, registry, TOPIC, LEASE_MS)
        running = asyncio.create_task(one.run(stop_event))
        try:
            await asyncio.to_thread(check)
        finally:
            stop_event.set()
            await running

    asyncio.run(run())


def test_only_poison_and_foreign_messages_become_dead_letters(
    tmp_path: Path, url: str, client: Any, store: feast.FeatureStore, publisher: Publisher
) -> None:
    users = [f"u{number}" for number in range(8)]  # in every partition
    for number in range(3):
        publisher.publish({user: [event(number, user, event_id=f"{user}:{number}", action="like")] for user in users})
        if number == 1:
            publisher.publish({"u1": [event(9, "u1", event_id="deadly", action="like")]})

    client.xadd(TOPIC.stream(TOPIC.partition_of("u1")), {"what": "is this"})

    def crashes() -> bool:
        one = consumers.consumer(url, store, tmp_path)
        until(lambda: not one.is_alive() or not waiting(client))
        if one.is_alive():
            one.terminate()
        one.join(PATIENCE_S)
        return one.exitcode == -signal.SIGKILL

    assert [crashes() for _ in range(4)] == [True, True, True, False]
    foreign, letter = sorted((str(fields) for _, fields in client.xrange(TOPIC.dead_letter_name)), key=len)
    assert "is this" in foreign and "3 consumers crashed" in letter and "deadly" in letter
    for user in users:
        ids = [one for one in consumers.applied_in_order(tmp_path / "notes")[user] if one != "deadly"]
        assert ids == [f"{user}:{number}" for number in range(3)]
        assert sorted(OnlineReader(store).read(user).views["recent_events"]["event_id"]) == ids
    assert client.keys("*:tries") == []  # all attempt counters are deleted


def test_users_are_erased_from_the_broker(
    tmp_path: Path, url: str, client: Any, store: feast.FeatureStore, publisher: Publisher, here: settings.Settings
) -> None:
    publisher.publish({"u1": [event(1, "u1", action="hum")], "u2": [event(2, "u2", action="hum")]})
    with_consumer(url, store, tmp_path, lambda: until(lambda: waiting(client) == 0))
    publisher.publish({"u1": [event(3, "u1")], "u2": [event(4, "u2")]})
    suppression_list.SuppressionList().with_users(["u1"]).write(here.suppression_list)
    assert erase_users(["u1"], here, TOPIC) == {"u1": 2}
    assert (waiting(client), client.xlen(TOPIC.dead_letter_name)) == (1, 1)
    # A message that arrives later is dropped by the consumer.
    publisher.publish({"u1": [event(5, "u1")]})
    with_consumer(url, store, tmp_path, lambda: until(lambda: waiting(client) == 0))
    assert list(OnlineReader(store).read("u1").views["recent_events"]["event_id"]) == []
    assert "u1" not in json.dumps([str(row) for row in client.xrange(TOPIC.dead_letter_name)])


def test_the_digests_of_crashed_consumers_are_removed(tmp_path: Path, url: str, client: Any, store: Any) -> None:
    seconds, _ = client.time()
    client.zadd(f"{TOPIC.name}:consumers", {"crashed": (seconds - 60) * 1000})
    client.hset(f"{TOPIC.name}:forgotten", "crashed", "digest")
    with_consumer(url, store, tmp_path, lambda: until(lambda: not client.hexists(f"{TOPIC.name}:forgotten", "crashed")))


def test_messages_of_others_that_name_an_erased_id_are_kept(
    client: Any, publisher: Publisher, here: settings.Settings
) -> None:
    publisher.publish({"7": [event(1, "7", target_id="t42", scene="42")], "42": [event(2, "42")]})
    erased, kept = Message("42", [event(3, "42")]), Message("7", [event(4, "7", scene="42")])
    for reason, message in (("undecodable", erased), ("crashed", kept)):
        letter = DeadLetter(reason, "", message.to_bytes().decode())
        client.xadd(TOPIC.dead_letter_name, {"__data__": letter.to_bytes()})
    rejected = DeadLetter("invalid", "7", json.dumps(event(5, "7", scene="42")))
    client.xadd(TOPIC.dead_letter_name, {"__data__": rejected.to_bytes()})
    client.xadd(TOPIC.dead_letter_name, {"foreign": '{"torn": ["42"'})
    assert erase_users(["42"], here, TOPIC) == {"42": 3}
    assert (waiting(client), client.xlen(TOPIC.dead_letter_name)) == (1, 2)


def test_consumer_with_an_old_suppression_list_is_reported(client: Any, here: settings.Settings) -> None:
    seconds, _ = client.time()
    client.zadd(f"{TOPIC.name}:consumers", {"old one": (seconds + 60) * 1000})
    suppression_list.SuppressionList().with_users(["u1"]).write(here.suppression_list)
    with pytest.raises(SuppressionListNotApplied, match="old one"):
        erase_users(["u1"], here, TOPIC, wait_s=0.1)
