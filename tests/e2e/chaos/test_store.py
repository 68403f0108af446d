"""Slow, stalled and refusing Redis: answers come from cached states meanwhile."""

import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from sequences import feast_store
from sequences.online.store_rows import to_list_value, write_rows
from sequences.views import ATTRIBUTES, SEQUENCE_VIEWS
from serving.events import online_store
from serving.events.online_store import OnlineStore
from serving.observability.metrics import Metrics
from serving.pipeline.request import read_request
from serving.pipeline.stages.hydrate import Hydrator
from serving.pipeline.user_state import STATE_FROM_CACHE, STATE_FROM_STORE, STATE_UNAVAILABLE
from tests.support import valkey
from tests.support.chaos.tcp_proxy import proxy_to
from tests.support.sequences.feast_stores import feature_store
from tests.support.serving.small_release import ListChannel, degradation, release, tracks

# Longer than a read waits.
SLOW_S = 1.0


def now_us():
    return time.time_ns() // 1000


@pytest.fixture
def proxy():
    with valkey.running() as server, proxy_to(server.port) as proxy:
        yield proxy


@pytest.fixture
def store(proxy, tmp_path, monkeypatch):
    """A store over the proxy in which a user has a row."""
    redis = valkey.online_store(SimpleNamespace(host="127.0.0.1", port=proxy.port))
    redis["connection_string"] += ",socket_timeout=2,socket_connect_timeout=2"

    def open_store(redis_timeout_s=None):
        store = feature_store(tmp_path, SEQUENCE_VIEWS, redis)
        feast_store.configure_redis(store, redis_timeout_s)
        return store

    monkeypatch.setattr(online_store, "open_store", open_store)
    written = open_store()
    sample = {"string": "t1", "time": 1, "order": 1, "ratio": 1.0}
    kinds = {name: ATTRIBUTES[name].kind for name in SEQUENCE_VIEWS["recent_clicks"].attribute_names}
    values = {name: to_list_value(kind, [sample[kind]]) for name, kind in kinds.items()}
    write_rows(written, written.get_feature_view("recent_clicks"), [("u", values, datetime.now(UTC))])
    return OnlineStore(degradation())


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
