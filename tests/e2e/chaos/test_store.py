"""A stalled and a killed Redis: answers come from cached states meanwhile."""

import os
import signal
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import redis
from feast.type_map import python_values_to_proto_values
from prometheus_client import CollectorRegistry

from event_store.opened import now_us
from sequences import feast_store
from sequences.online.online_stores import online_store_of, user_key
from sequences.sequence_views import ATTRIBUTES, SEQUENCE_VIEWS
from serving.observability.metrics import Metrics
from serving.pipeline.request import read_request
from serving.pipeline.stages import hydrate
from serving.pipeline.stages.hydrate import Hydrator, OnlineStore
from serving.pipeline.user_state import STATE_FROM_CACHE, STATE_FROM_STORE, STATE_UNAVAILABLE
from tests.support import valkey
from tests.support.sequences.feast_stores import feature_store
from tests.support.serving.small_release import ListChannel, degradation, release, tracks


@contextmanager
def stalled(server):
    """Accepts connections and answers nothing."""
    with redis.Redis(server.host, server.port) as client:
        pid = client.info()["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def killed(server):
    server.terminate()
    yield
    server.start()


@pytest.fixture
def server():
    with valkey.running(**valkey.DURABLE) as server:
        yield server


@pytest.fixture
def store(server, tmp_path, monkeypatch):
    """A store on the server in which a user has a row."""
    configuration = valkey.online_store(server)
    configuration["connection_string"] += ",socket_timeout=2,socket_connect_timeout=2"

    def open_store(redis_timeout_s=None):
        store = feature_store(tmp_path, SEQUENCE_VIEWS, configuration)
        feast_store.configure_redis(store, redis_timeout_s)
        return store

    monkeypatch.setattr(hydrate, "open_store", open_store)
    written = open_store()
    sample = {"string": "t1", "time": 1, "order": 1, "ratio": 1.0}
    kinds = {name: ATTRIBUTES[name].kind for name in SEQUENCE_VIEWS["recent_clicks"].attribute_names}
    view, now = written.get_feature_view("recent_clicks"), datetime.now(UTC)
    types = {feature.name: feature.dtype.to_value_type() for feature in view.features}
    values = {name: python_values_to_proto_values([[sample[kind]]], types[name])[0] for name, kind in kinds.items()}
    online_store_of(written).write_rows(written.config, view, [(user_key("u"), values, now, now)])
    return OnlineStore(degradation())


@pytest.mark.parametrize("fault", [stalled, killed])
def test_answers_come_from_cached_states_while_the_store_fails(store, server, fault):
    of = release(tracks(8), [ListChannel("popularity", range(2, 10))])
    hydrator = Hydrator(store, Metrics(CollectorRegistry()))

    def state_from(user):
        return hydrator.load_user_state(read_request(user, "private_fm", 3, now_us()), of).state_from

    assert state_from("u") == STATE_FROM_STORE
    with fault(server):
        assert [state_from("u"), state_from("u"), state_from("v")] == [
            STATE_FROM_CACHE,
            STATE_FROM_CACHE,
            STATE_UNAVAILABLE,
        ]
        store.check()
        assert state_from("u") == STATE_FROM_CACHE
    store.check()
    assert state_from("u") == STATE_FROM_STORE
