"""A complete recommender in one process, without a release and without a registry."""

from functools import partial

import pytest
from prometheus_client import CollectorRegistry

from config import settings
from event_store.sqlite_stores import KEY_FILE
from event_store.store import StoreUnavailable
from serving.errors import NotReady, RequestRejected
from serving.observability.degraded_parts import EVENT_STORE, PRIVATE_SESSIONS
from serving.observability.metrics import Metrics
from serving.pipeline.request import read_request
from serving.runtime import Runtime
from tests.support.serving.asgi_client import put_in_service, use_home
from tests.support.serving.small_release import ListChannel, release, tracks
from tests.support.waiting import wait_until

RELEASE = release(tracks(8), [ListChannel("popularity", range(2, 10))])
EVENT = {"event_id": "e", "user_id": "u", "target_type": "track", "target_id": "t", "action": "like"}


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Function that starts a runtime in the home; what ran there before goes on."""
    use_home(monkeypatch, tmp_path)
    opened = []

    def start(registry=None):
        opened.append(Runtime(settings.Settings(home=tmp_path), Metrics(registry or CollectorRegistry())))
        return opened[-1]

    yield start
    for runtime in opened:
        runtime.close()


def test_without_a_release_events_are_accepted(start):
    registry = CollectorRegistry()
    runtime = start(registry)
    assert not runtime.is_ready
    with pytest.raises(NotReady, match="make run"):
        runtime.respond("daily", partial(read_request, "u", "daily", None))
    with pytest.raises(RequestRejected, match="scene 'shower'"):
        runtime.respond("shower", partial(read_request, "u", "shower", None))
    for outcome in ("NotReady", "RequestRejected"):
        assert (
            registry.get_sample_value(
                "segue_recommend_requests_total", {"scene": "", "outcome": outcome, "release": ""}
            )
            == 1
        )
    assert runtime.ingest_events([EVENT, {"user_id": "u"}]).accepted == 1


def test_no_features_are_logged_in_a_private_session(start, monkeypatch, tmp_path):
    put_in_service(monkeypatch, tmp_path, lambda folder: RELEASE)
    runtime = start()

    def ask_and_count_logged():
        runtime.respond("daily", partial(read_request, "u", "daily", 3))
        runtime.search("song", 3, "u")
        runtime.inspector.describe_user("u")
        runtime.inspector.explain("u", "t1", "daily")
        return sum(len(path.read_text().splitlines()) for path in tmp_path.glob("requests/dt=*/*.jsonl"))

    session = {"user_id": "u", "target_type": "session", "target_id": "s"}
    assert runtime.ingest_events([session | {"action": "start_private"}]).accepted == 1
    assert ask_and_count_logged() == 0
    assert runtime.ingest_events([session | {"action": "end_private"}]).accepted == 1
    assert ask_and_count_logged() == 2  # the recommendation and the search; an inspection is never logged


def test_damaged_events_are_degraded_and_responses_go_on(start, monkeypatch, tmp_path):
    put_in_service(monkeypatch, tmp_path, lambda folder: RELEASE)
    start().close()
    for path in tmp_path.glob("serving/events.db*"):
        path.write_bytes(b"damaged" * 1000)
    runtime = start()
    with pytest.raises(StoreUnavailable, match=r"events\.db cannot be read"):
        runtime.ingest_events([EVENT])
    assert len(runtime.respond("daily", partial(read_request, "u", "daily", 3)).items) == 3
    assert EVENT_STORE in [one["part"] for one in runtime.status()["degraded"]]


def test_lost_private_sessions_are_degraded_and_nothing_is_recorded(start, tmp_path):
    start().close()
    (tmp_path / "serving" / KEY_FILE).unlink()
    runtime = start()
    wait_until(lambda: PRIVATE_SESSIONS in [one["part"] for one in runtime.status()["degraded"]], "the report")
    plays = [{"user_id": user, "target_type": "track", "target_id": "t", "action": "click"} for user in "uv"]
    assert runtime.ingest_events(plays).private == 2
