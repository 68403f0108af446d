"""Redis-protocol consumers are killed, suspended and added without loss, duplication or reordering of events."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
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
from sequences.streaming.message import DeadLetter, Message, build_messages
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


def with_consumers(
    url: str, store: feast.FeatureStore, folder: Path, count: int, check: Callable[[list[Any]], Any]
) -> None:
    """Run `count` consumers in this process and `check` (of metrics and stop event of each) in another thread."""

    async def run() -> None:
        running, seen = [], []
        for _ in range(count):
            registry = CollectorRegistry()
            metrics, stop_event = ConsumerMetrics(registry), asyncio.Event()
            applier = EventApplier(lambda length: OnlineWriter(store, length), folder / "forgotten.json", metrics)
            one = redis_streams.StreamConsumer(url, applier, metrics, registry, TOPIC, LEASE_MS)
            running.append(asyncio.create_task(one.run(stop_event)))
            seen.append((registry, partial(asyncio.get_running_loop().call_soon_threadsafe, stop_event.set)))
        try:
            await asyncio.to_thread(check, seen)
        finally:
            for _, end in seen:
                end()
            await asyncio.gather(*running)

    asyncio.run(run())


def test_partitions_are_distributed_and_taken_over(tmp_path: Path, url: str, store: feast.FeatureStore) -> None:
    def owned(registry: CollectorRegistry) -> float | None:
        return registry.get_sample_value("segue_broker_owned_partitions")

    def check(seen: list[Any]) -> None:
        until(lambda: [owned(registry) for registry, _ in seen] == [2, 2])
        seen[0][1]()
        until(lambda: owned(seen[1][0]) == 4)

    with_consumers(url, store, tmp_path, 2, check)


def test_suspended_owner_reads_no_messages_after_a_takeover(
    url: str, client: Any, store: feast.FeatureStore, tmp_path: Path, publisher: Publisher
) -> None:
    stream = TOPIC.stream(TOPIC.partition_of("u1"))

    def groups() -> list[bytes]:
        return [one["name"] for one in client.xinfo_groups(stream)]

    suspended = consumers.consumer(url, store, tmp_path)
    try:
        until(lambda: client.exists(stream) and len(groups()) == 1)
        before = groups()[0]
        os.kill(suspended.pid, signal.SIGSTOP)

        def check(_: list[Any]) -> None:
            until(lambda: groups() != [before] and before not in groups())
            # What it would do next if it resumed before noticing the lost lease.
            with pytest.raises(redis.ResponseError, match="NOGROUP"):
                client.xreadgroup(before, "held up", {stream: ">"})
            publisher.publish({"u1": [event(1, "u1", action="click", played_ms=None)]})
            until(lambda: waiting(client) == 0)

        with_consumers(url, store, tmp_path, 1, check)
    finally:
        suspended.kill()
        suspended.join()


def test_dead_letters_are_stored_and_counted_and_do_not_block_others(
    tmp_path: Path, url: str, client: Any, store: feast.FeatureStore, publisher: Publisher
) -> None:
    good = [event(number, "u1", action="click", played_ms=None) for number in range(4)]
    publisher.publish(
        {
            "u1": [*good[:2], event(8, "u1", action="hum", played_ms=None)],
            "u2": [event(9, "u2", action="like", played_ms=None)],
        }
    )
    client.xadd(TOPIC.stream(TOPIC.partition_of("u1")), {"what": "is this"})
    publisher.publish({"u1": good[2:]})

    def check(seen: list[Any]) -> None:
        until(lambda: waiting(client) == 0)
        registry = seen[0][0]
        assert registry.get_sample_value("segue_broker_events_total", {"outcome": "dead"}) == 2
        assert registry.get_sample_value("segue_broker_events_total", {"outcome": "applied"}) == 5
        until(lambda: registry.get_sample_value("segue_broker_dead_letters") == 2)
        partition = {"partition": str(TOPIC.partition_of("u1"))}
        until(lambda: registry.get_sample_value("segue_broker_waiting_messages", partition) == 0)
        broker = {"broker": "redis", "handler": TOPIC.stream(TOPIC.partition_of("u1"))}
        names = {sample.name for metric in registry.collect() for sample in metric.samples if broker.items()}
        assert "faststream_received_messages_total" in names

    with_consumers(url, store, tmp_path, 1, check)
    ids = list(OnlineReader(store).read("u1")["recent_clicks"]["event_id"])
    assert sorted(ids) == [one["event_id"] for one in good]
    letters = [str(fields) for _, fields in client.xrange(TOPIC.dead_letter_name)]
    assert len(letters) == 2
    assert any("hum" in letter for letter in letters) and any("is this" in letter for letter in letters)


def test_only_the_poison_message_becomes_a_dead_letter(
    tmp_path: Path, url: str, client: Any, store: feast.FeatureStore, publisher: Publisher
) -> None:
    users = [f"u{number}" for number in range(8)]  # in every partition
    for number in range(3):
        publisher.publish({user: [event(number, user, event_id=f"{user}:{number}", action="like")] for user in users})
        if number == 1:
            publisher.publish({"u1": [event(9, "u1", event_id="deadly", action="like")]})

    def crashes() -> bool:
        one = consumers.consumer(url, store, tmp_path)
        until(lambda: not one.is_alive() or not waiting(client))
        if one.is_alive():
            one.terminate()
        one.join(PATIENCE_S)
        return one.exitcode == -signal.SIGKILL

    assert [crashes() for _ in range(4)] == [True, True, True, False]
    ((_, letter),) = client.xrange(TOPIC.dead_letter_name)
    assert "3 consumers crashed" in str(letter) and "deadly" in str(letter)
    for user in users:
        ids = [one for one in consumers.applied_in_order(tmp_path / "notes")[user] if one != "deadly"]
        assert ids == [f"{user}:{number}" for number in range(3)]
        assert sorted(OnlineReader(store).read(user)["recent_events"]["event_id"]) == ids
    assert client.keys("*:tries") == []  # all attempt counters are deleted


def test_harmless_suspect_is_applied(
    tmp_path: Path, url: str, client: Any, store: feast.FeatureStore, publisher: Publisher
) -> None:
    publisher.publish({"u1": [event(number, "u1", action="like") for number in range(2)]})
    publisher.publish({"u1": [event(3, "u1", action="like")]})
    stream = TOPIC.stream(TOPIC.partition_of("u1"))
    client.xgroup_create(stream, "of one who died", id="0")
    client.xreadgroup("of one who died", "who died", {stream: ">"})
    publisher.publish({"u1": [event(4, "u1", action="like")]})
    with_consumers(url, store, tmp_path, 1, lambda _: until(lambda: waiting(client) == 0))
    assert len(OnlineReader(store).read("u1")["recent_events"]["event_id"]) == 4
    assert client.xlen(TOPIC.dead_letter_name) == 0


def test_redelivered_messages_change_nothing(
    tmp_path: Path, url: str, client: Any, store: feast.FeatureStore, publisher: Publisher
) -> None:
    events = {"u1": [event(number, "u1", action="like", played_ms=None) for number in range(3)]}
    for _ in range(3):
        publisher.publish(events)

    def check(seen: list[Any]) -> None:
        until(lambda: waiting(client) == 0)
        count = {
            outcome: seen[0][0].get_sample_value("segue_broker_events_total", {"outcome": outcome})
            for outcome in ("applied", "nothing_new")
        }
        # Whether batched or not, an event counts as new once.
        assert count["applied"] == 3

    with_consumers(url, store, tmp_path, 1, check)
    assert len(OnlineReader(store).read("u1")["recent_events"]["event_id"]) == 3


def test_lag_is_reported_while_the_store_is_unavailable(
    tmp_path: Path, url: str, client: Any, publisher: Publisher
) -> None:
    publisher.publish({"u1": [event(1, "u1")], "u2": [event(2, "u2")]})
    registry = CollectorRegistry()
    metrics = ConsumerMetrics(registry)

    class UnavailableWriter:
        def apply_batch(self, events_of: Any) -> int:
            raise ConnectionError("store is away")

    applier = EventApplier(lambda _: UnavailableWriter(), tmp_path / "forgotten.json", metrics)

    async def run() -> None:
        stop_event = asyncio.Event()
        running = asyncio.create_task(
            redis_streams.StreamConsumer(url, applier, metrics, registry, TOPIC, LEASE_MS).run(stop_event)
        )
        partition = {"partition": str(TOPIC.partition_of("u1"))}

        def is_reported() -> bool:
            age = registry.get_sample_value("segue_broker_oldest_seconds", partition)
            retries = registry.get_sample_value("segue_broker_retries_total")
            return bool(age and age > 0.2 and retries)

        await asyncio.to_thread(until, is_reported)
        assert registry.get_sample_value("segue_broker_waiting_messages", partition) >= 1
        applier.stop()
        stop_event.set()
        await running

    asyncio.run(run())
    assert waiting(client) == 2  # the broker keeps unapplied messages


def test_sender_preserves_the_order_per_user(url: str, client: Any) -> None:
    events = {"u1": [event(1, "u1")], "u2": [event(2, "u2")]}

    async def send() -> None:
        sender = redis_streams.StreamSender(url, TOPIC)
        for _ in range(3):
            await sender.send(build_messages(events, duration_of))
        await sender.close()

    asyncio.run(send())
    assert waiting(client) == 6
    assert client.xlen(TOPIC.stream(TOPIC.partition_of("u1"))) >= 3


def test_users_are_erased_from_the_broker(
    tmp_path: Path, url: str, client: Any, store: feast.FeatureStore, publisher: Publisher, monkeypatch: Any
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setenv("SEGUE_BROKER", url)
    here = settings.load_settings()
    publisher.publish({"u1": [event(1, "u1", action="hum")], "u2": [event(2, "u2", action="hum")]})
    with_consumers(url, store, tmp_path, 1, lambda _: until(lambda: waiting(client) == 0))
    publisher.publish({"u1": [event(3, "u1")], "u2": [event(4, "u2")]})
    suppression_list.SuppressionList().with_users(["u1"]).write(here.suppression_list)
    assert erase_users(["u1"], here, TOPIC) == {"u1": 2}
    assert (waiting(client), client.xlen(TOPIC.dead_letter_name)) == (1, 1)
    # A message that arrives later is dropped by the consumer.
    publisher.publish({"u1": [event(5, "u1")]})
    with_consumers(url, store, tmp_path, 1, lambda _: until(lambda: waiting(client) == 0))
    assert list(OnlineReader(store).read("u1")["recent_events"]["event_id"]) == []
    assert "u1" not in json.dumps([str(row) for row in client.xrange(TOPIC.dead_letter_name)])


def test_the_digests_of_crashed_consumers_are_removed(tmp_path: Path, url: str, client: Any, store: Any) -> None:
    seconds, _ = client.time()
    client.zadd(f"{TOPIC.name}:consumers", {"crashed": (seconds - 60) * 1000})
    client.hset(f"{TOPIC.name}:forgotten", "crashed", "digest")
    with_consumers(
        url, store, tmp_path, 1, lambda _: until(lambda: not client.hexists(f"{TOPIC.name}:forgotten", "crashed"))
    )


def test_messages_of_others_that_name_an_erased_id_are_kept(
    tmp_path: Path, url: str, client: Any, publisher: Publisher, monkeypatch: Any
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setenv("SEGUE_BROKER", url)
    publisher.publish({"7": [event(1, "7", target_id="t42", scene="42")], "42": [event(2, "42")]})
    erased, kept = Message("42", [event(3, "42")]), Message("7", [event(4, "7", scene="42")])
    for reason, message in (("undecodable", erased), ("crashed", kept)):
        letter = DeadLetter(reason, "", message.to_bytes().decode())
        client.xadd(TOPIC.dead_letter_name, {"__data__": letter.to_bytes()})
    rejected = DeadLetter("invalid", "7", json.dumps(event(5, "7", scene="42")))
    client.xadd(TOPIC.dead_letter_name, {"__data__": rejected.to_bytes()})
    client.xadd(TOPIC.dead_letter_name, {"foreign": '{"torn": ["42"'})
    assert erase_users(["42"], settings.load_settings(), TOPIC) == {"42": 3}
    assert (waiting(client), client.xlen(TOPIC.dead_letter_name)) == (1, 2)


def test_consumer_with_an_old_suppression_list_is_reported(
    tmp_path: Path, url: str, client: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setenv("SEGUE_BROKER", url)
    here = settings.load_settings()
    seconds, _ = client.time()
    client.zadd(f"{TOPIC.name}:consumers", {"old one": (seconds + 60) * 1000})
    suppression_list.SuppressionList().with_users(["u1"]).write(here.suppression_list)
    with pytest.raises(SuppressionListNotApplied, match="old one"):
        erase_users(["u1"], here, TOPIC, wait_s=0.1)
