"""The Redis event store when its server is killed, full, set up wrongly, replaced by a replica, or not there."""

from __future__ import annotations

import random
import threading
import time

import pytest
import redis

from event_store.opened import now_us
from event_store.redis_stores import RedisEventStore, RedisServingState
from event_store.store import Position, StoreUnavailable
from tests.support import valkey
from tests.support.ports import free_port
from tests.support.progress import sized
from tests.support.recorded import recorded_event
from tests.support.waiting import wait_until

KILLS = sized(100, 10)
USERS = 5


def test_no_acknowledged_event_is_lost_or_doubled_when_the_server_is_killed():
    chance, acknowledged, is_over = random.Random(1), set(), threading.Event()
    with valkey.running(**valkey.DURABLE) as server:

        def send(sender):
            store = RedisEventStore(server.connection_url, now_us)
            for number in range(10**9):
                user, names = f"u{number % USERS}", [f"{sender}-{number}-{place}" for place in range(3)]
                report = [recorded_event(0, user, event_id=one) for one in names]
                while True:
                    try:
                        appended = store.append(report)
                    except StoreUnavailable:
                        time.sleep(0.01)
                    else:
                        break
                assert appended.accepted + appended.duplicate == 3
                assert appended.duplicate in (0, 3), "a report is written as a whole"
                acknowledged.update(names)
                if is_over.is_set():
                    break
            store.close()

        senders = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for sender in senders:
            sender.start()
        url, ids = server.connection_url, set()
        for _ in range(KILLS):
            before = len(acknowledged)
            wait_until(lambda before=before: len(acknowledged) > before + 12, "acknowledged events")
            time.sleep(chance.random() * 0.05)
            ids.add(RedisEventStore(url, now_us).id)
            server.terminate()
            server.start()
        is_over.set()
        for sender in senders:
            sender.join()
        store = RedisEventStore(url, now_us)
        read = [event["event_id"] for _, event in store.read(None, 10**6)]
        assert len(ids) == KILLS, "a restarted server may have lost events, so old positions do not hold"
        assert set(read) >= acknowledged and len(set(read)) == len(read)
        of_users = [row["body"]["event_id"] for user in range(USERS) for row in store.export(f"u{user}")["events"]]
        assert sorted(of_users) == sorted(read)


def test_a_full_server_rejects_events_and_is_still_read_and_emptied():
    with valkey.running(**valkey.DURABLE, maxmemory="4mb") as server:
        clock = [now_us()]
        store = RedisEventStore(server.connection_url, lambda: clock[0])
        state = RedisServingState(server.connection_url, lambda: clock[0])
        with pytest.raises(StoreUnavailable, match=r"maxmemory.*memory or disk"):
            for number in range(1000):
                store.append([recorded_event(100 * number + place, scene="s" * 200) for place in range(100)])
        with pytest.raises(StoreUnavailable):
            for _ in range(1000):
                state.add_exposure("u1", {"items": "i" * 1000})
        other = RedisEventStore(server.connection_url, lambda: clock[0])
        count = len(other.read(None, 10**6))
        assert count == 100 * number and len(other.of_user("u1").events) == min(count, 2000)
        clock[0] += 2 * 86_400_000_000
        assert store.remove(Position(store.id, count)) == count
        assert store.append([recorded_event(10**6)]).accepted == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("appendonly", "no"),
        ("appendfsync", "everysec"),
        ("maxmemory-policy", "allkeys-lru"),
        ("cluster-enabled", "yes"),
        ("save", "60 1"),
    ],
)
def test_a_server_that_would_lose_events_is_refused(name, value):
    settings = {key.replace("_", "-"): text for key, text in valkey.DURABLE.items()} | {name: value}
    with valkey.running(**settings) as server, pytest.raises(StoreUnavailable, match=f"set {name} to"):
        RedisEventStore(server.connection_url, now_us).append([recorded_event(1)])


def test_a_replica_that_takes_over_is_another_store():
    settings = valkey.DURABLE | {"repl_diskless_sync_delay": 0}
    with valkey.running(**settings) as first, valkey.running(**settings) as second:
        store = RedisEventStore(first.connection_url, now_us)
        store.append([recorded_event(1), recorded_event(2)])
        position = Position(store.id, 2)
        with redis.Redis(first.host, first.port) as before, redis.Redis(second.host, second.port) as replica:
            replica.replicaof(first.host, first.port)
            wait_until(lambda: replica.dbsize() == before.dbsize(), "the replica")
            with pytest.raises(StoreUnavailable, match="read only replica"):
                RedisEventStore(second.connection_url, now_us).append([recorded_event(3)])
            replica.replicaof("no", "one")
        promoted = RedisEventStore(second.connection_url, now_us)
        assert promoted.of_user("u1", position).last_seq == 2, "it may lack the last events of the first"
        assert promoted.append([recorded_event(1), recorded_event(3)]).duplicate == 1
        assert store.of_user("u1", position).last_seq == 0


def test_an_error_has_the_reason_and_not_the_password():
    store = RedisEventStore(f"redis://:secret@127.0.0.1:{free_port()}/0", now_us)
    with pytest.raises(StoreUnavailable, match="SEGUE_EVENT_STORE") as error:
        store.append([recorded_event(1)])
    assert "secret" not in str(error.value)
