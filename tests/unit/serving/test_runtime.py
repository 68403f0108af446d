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


class Started:
    """Starts runtimes in one home, one after another."""

    def __init__(self, home):
        self.home, self.running = home, None

    def start(self):
        self.stop()
        self.registry = CollectorRegistry()
        here = settings.Settings(home=self.home)
        self.running = Runtime(here, Metrics(self.registry))
        return self.running

    def stop(self):
        if self.running:
            self.running.close()
        self.running = None


@pytest.fixture
def started(tmp_path, monkeypatch):
    use_home(monkeypatch, tmp_path)
    started = Started(tmp_path)
    yield started
    started.stop()


def test_without_a_release_events_are_accepted(started):
    runtime = started.start()
    assert not runtime.is_ready
    with pytest.raises(NotReady, match="make run"):
        runtime.respond("daily", partial(read_request, "u", "daily", None))
    with pytest.raises(RequestRejected, match="scene 'shower'"):
        runtime.respond("shower", partial(read_request, "u", "shower", None))
    for outcome in ("NotReady", "RequestRejected"):
        labels = {"scene": "", "outcome": outcome, "release": ""}
        assert started.registry.get_sample_value("segue_recommend_requests_total", labels) == 1
    assert runtime.ingest_events([EVENT, {"user_id": "u"}]).accepted == 1


def test_accepted_events_survive_a_restart_and_each_worker_reads_them(started):
    assert started.start().ingest_events([EVENT]).accepted == 1
    runtime, other = started.start(), Runtime(settings.Settings(home=started.home), Metrics(CollectorRegistry()))
    report = runtime.ingest_events([EVENT, EVENT | {"event_id": "f"}])
    assert (report.accepted, report.duplicate) == (1, 1)
    assert [one["event_id"] for one in other._events.of_user("u").events] == ["e", "f"]
    other.close()


def test_no_features_are_logged_in_a_private_session(started, monkeypatch):
    put_in_service(monkeypatch, started.home, lambda folder: RELEASE)
    runtime = started.start()

    def ask_and_count_logged():
        runtime.respond("daily", partial(read_request, "u", "daily", 3))
        assert runtime.search("song", 3, "u").results == []
        runtime.inspector.describe_user("u")
        runtime.inspector.explain("u", "t1", "daily")
        return sum(len(path.read_text().splitlines()) for path in started.home.glob("requests/dt=*/*.jsonl"))

    start = {"user_id": "u", "target_type": "session", "target_id": "s", "action": "start_private"}
    assert runtime.ingest_events([start]).accepted == 1
    assert ask_and_count_logged() == 0
    assert runtime.ingest_events([start | {"action": "end_private"}]).accepted == 1
    assert ask_and_count_logged() == 2  # the recommendation and the search; an inspection is never logged


def test_damaged_events_are_degraded_and_responses_go_on(started, monkeypatch):
    put_in_service(monkeypatch, started.home, lambda folder: RELEASE)
    started.start()
    started.stop()
    for path in started.home.glob("serving/events.db*"):
        path.write_bytes(b"damaged" * 1000)
    runtime = started.start()
    with pytest.raises(StoreUnavailable, match=r"events\.db cannot be read"):
        runtime.ingest_events([EVENT])
    assert len(runtime.respond("daily", partial(read_request, "u", "daily", 3)).items) == 3
    assert EVENT_STORE in [one["part"] for one in runtime.status()["degraded"]]


def test_lost_private_sessions_are_degraded_and_nothing_is_recorded(started):
    started.start()
    started.stop()
    (started.home / "serving" / KEY_FILE).unlink()
    runtime = started.start()
    wait_until(lambda: PRIVATE_SESSIONS in [one["part"] for one in runtime.status()["degraded"]], "the report")
    plays = [{"user_id": user, "target_type": "track", "target_id": "t", "action": "click"} for user in "uv"]
    assert runtime.ingest_events(plays).private == 2
