"""Slow, stalled and flapping Redis: answers come from cached states meanwhile, and no acknowledged event is lost."""

import random
import threading
import time

import pytest
import redis
from prometheus_client import CollectorRegistry

from serving.events import online_store
from serving.events.event_schema import read_event
from serving.events.online_store import OnlineStore
from serving.observability.metrics import Metrics
from serving.pipeline.request import read_request
from serving.pipeline.stages.hydrate import Hydrator
from serving.pipeline.user_state import STATE_FROM_CACHE, STATE_FROM_STORE, STATE_UNAVAILABLE
from tests.support import valkey
from tests.support.chaos import event_path
from tests.support.chaos.tcp_proxy import proxy_to
from tests.support.progress import Progress, sized
from tests.support.serving.small_release import ListChannel, degradation, release, tracks

FAULTS = sized(300, 4)
PART = 20
REPORTS_PER_FAULT = 20
# Longer than a read waits, shorter than the timeout of a write.
SLOW_S = 1.0


def now_us():
    return time.time_ns() // 1000


@pytest.fixture
def proxy():
    with valkey.running() as server, proxy_to(server.port) as proxy:
        yield proxy


@pytest.fixture
def store(proxy, tmp_path, monkeypatch):
    monkeypatch.setattr(online_store, "open_store", event_path.opener(tmp_path / "feast", proxy.port))
    store = OnlineStore(lambda _: None, degradation())
    row = {"event_id": "e", "user_id": "u", "target_type": "track", "target_id": "t1", "action": "click"}
    store.apply({"u": [read_event(row, now_us())]})
    assert list(store.read("u")["recent_clicks"]["event_id"]) == ["e"]
    return store


@pytest.mark.parametrize("fault", [{"is_stalled": True}, {"delay_s": SLOW_S}, {"is_refusing": True}], ids=str)
def test_answers_come_from_cached_states_while_the_store_fails(store, proxy, fault):
    of = release(tracks(8), [ListChannel("popularity", range(2, 10))])
    hydrator = Hydrator(store, Metrics(CollectorRegistry()))

    def state_from(user):
        return hydrator.load_user_state(read_request(user, "private_fm", 3, now_us()), of).state_from

    assert state_from("u") == STATE_FROM_STORE
    proxy.set(**fault)
    if "is_refusing" in fault:
        proxy.drop_connections()
    assert [state_from("u"), state_from("u"), state_from("v")] == [
        STATE_FROM_CACHE,
        STATE_FROM_CACHE,
        STATE_UNAVAILABLE,
    ]
    store.check()
    assert state_from("u") == STATE_FROM_CACHE
    proxy.set()
    store.check()
    assert state_from("u") == STATE_FROM_STORE


@pytest.mark.timeout(7200)
def test_flapping_store_loses_and_repeats_no_event(proxy, tmp_path, monkeypatch):
    monkeypatch.setattr("serving.events.event_pusher.RETRY_INTERVAL_S", 0.05)
    progress = Progress("flapping_store", FAULTS)
    opener = event_path.opener(tmp_path / "feast", proxy.port)
    for part, faults in progress.parts(PART):
        chance, before = random.Random(part), proxy.delayed_chunks
        redis.Redis(port=proxy._target_port).flushall()
        with event_path.opened(monkeypatch, tmp_path / f"home{part}", opener, now_us, users=20) as path:
            with event_path.clients(path, faults * REPORTS_PER_FAULT):
                for number in range(faults):
                    proxy.set(**_fault(number, chance))
                    if chance.random() < 0.5:
                        proxy.drop_connections()
                    threading.Event().wait(chance.uniform(0, 0.3))
                    proxy.set()
                    threading.Event().wait(chance.uniform(0, 0.3))
            assert len(path.acknowledged) == faults * REPORTS_PER_FAULT
            path.store.check()
            path.check()
        progress.add(faults, events=len(path.acknowledged), delayed_responses=proxy.delayed_chunks - before)
    assert progress.counts["delayed_responses"] > 0
    progress.report(f"{FAULTS} faults, 0 lost, 0 duplicate")


def _fault(number, chance):
    return ({"is_stalled": True}, {"delay_s": chance.uniform(0.01, 0.2)}, {"is_refusing": True})[number % 3]
