"""A complete recommender in one process, without a release and without a registry."""

import json
from dataclasses import replace
from unittest import mock

import pytest
from prometheus_client import CollectorRegistry

from config import settings
from serving import runtime as runtime_module
from serving.errors import NotReady, RequestRejected
from serving.events import event_writing
from serving.events.private_sessions import PRIVATE_SESSIONS_FILE
from serving.events.write_ahead_log import LogBusy
from serving.observability.degraded_parts import PRIVATE_SESSIONS
from serving.observability.metrics import Metrics
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
    assert runtime.is_alive and not runtime.is_ready
    with pytest.raises(NotReady, match="make run"):
        runtime.recommend("u", "daily", None)
    with pytest.raises(RequestRejected, match="scene 'shower'"):
        runtime.recommend("u", "shower", None)
    for outcome in ("NotReady", "RequestRejected"):
        labels = {"scene": "", "outcome": outcome, "release": ""}
        assert started.registry.get_sample_value("segue_recommend_requests_total", labels) == 1
    assert runtime.ingest_events([EVENT, {"user_id": "u"}]).accepted == 1


def test_accepted_events_survive_a_restart(started):
    runtime = started.start()
    assert runtime.ingest_events([EVENT]).accepted == 1
    started.stop()
    with pytest.raises(LogBusy):
        runtime.ingest_events([EVENT])
    assert not runtime.is_alive
    (file,) = started.home.glob("live/dt=*/events-*.jsonl")
    assert [json.loads(line)["event_id"] for line in file.read_text().splitlines()] == ["e"]
    report = started.start().ingest_events([EVENT, EVENT | {"event_id": "f"}])
    assert (report.accepted, report.duplicate) == (1, 1)
    assert started.registry.get_sample_value("segue_unpushed_reports") == 2, "there is no online store"


def test_second_recommender_answers_without_writing_and_takes_over(started, monkeypatch):
    monkeypatch.setattr(runtime_module, "LOCK_TIMEOUT_S", 0.0)
    monkeypatch.setattr(runtime_module, "TAKEOVER_INTERVAL_S", 0.01)
    put_in_service(monkeypatch, started.home, lambda folder: RELEASE)
    sessions, failures = event_writing.PrivateSessions, [OSError("disk full")]

    def fail_once(*arguments):
        if failures:
            raise failures.pop()
        return sessions(*arguments)

    first = started.start()
    second = Runtime(settings.Settings(home=started.home), Metrics(CollectorRegistry()))
    try:
        answer = second.recommend("u", "daily", 3)
        assert len(answer.items) == 3 and "another recommender" in answer.trace.degraded["event_log"]
        assert (second.is_alive, second.is_ready, first.is_ready) == (True, False, True)
        (part,) = [one for one in second.status()["degraded"] if one["part"] == "event_log"]
        assert "writer.lock" in part["error"]
        with pytest.raises(LogBusy, match="another recommender"):
            second.ingest_events([EVENT])
        assert not list(started.home.glob("live/dt=*/exposures-*.jsonl"))
        assert "event_log" not in first.recommend("u", "daily", 3).trace.degraded
        assert len(list(started.home.glob("live/dt=*/exposures-*.jsonl"))) == 1
        monkeypatch.setattr(event_writing, "PrivateSessions", fail_once)
        first.close()
        wait_until(lambda: second.is_ready, "the takeover")
        assert not failures
        assert second.ingest_events([EVENT]).accepted == 1
        assert "event_log" not in second.recommend("u", "daily", 3).trace.degraded
    finally:
        second.close()


def test_everything_is_closed_when_a_part_cannot_write(started, monkeypatch):
    writing = started.start()._writing
    closes = {name: mock.Mock(wraps=getattr(writing, name).close) for name in ("exposures", "feature_log")}
    for name, close in closes.items():
        monkeypatch.setattr(getattr(writing, name), "close", close)
    with monkeypatch.context() as full, pytest.raises(OSError, match="disk full"):
        full.setattr(writing.log.low_watermark, "save", mock.Mock(side_effect=OSError("disk full")))
        writing.close()
    assert all(close.called for close in closes.values()) and not writing.log.is_alive


def test_no_features_are_logged_in_a_private_session(started, monkeypatch):
    put_in_service(monkeypatch, started.home, lambda folder: RELEASE)
    runtime = started.start()

    def ask_and_count_logged():
        runtime.recommend("u", "daily", 3)
        with pytest.raises(NotReady, match="search"):  # after the features were read
            runtime.search("song", 3, "u")
        runtime.inspector.describe_user("u")
        runtime.inspector.explain("u", "t1", "daily")
        runtime._writing.feature_log.flush()
        return sum(len(path.read_text().splitlines()) for path in started.home.glob("requests/dt=*/*.jsonl"))

    start = {"user_id": "u", "target_type": "session", "target_id": "s", "action": "start_private"}
    assert runtime.ingest_events([start]).accepted == 1
    assert ask_and_count_logged() == 0
    assert runtime.ingest_events([start | {"action": "end_private"}]).accepted == 1
    assert ask_and_count_logged() == 2  # the recommendation and the search; an inspection is never logged


def test_lost_private_sessions_are_degraded_and_nothing_is_recorded(started):
    started.start().ingest_events([EVENT | {"target_type": "session", "action": "start_private"}])
    started.stop()
    (started.home / "serving" / PRIVATE_SESSIONS_FILE).write_bytes(b"damaged" * 1000)
    runtime = started.start()
    assert PRIVATE_SESSIONS in [one["part"] for one in runtime.status()["degraded"]]
    plays = [{"user_id": user, "target_type": "track", "target_id": "t", "action": "click"} for user in "uv"]
    assert runtime.ingest_events(plays).private == 2


def test_model_workers_forget_erased_users_and_end_with_the_runtime(started, monkeypatch):
    workers = mock.Mock()
    put_in_service(monkeypatch, started.home, lambda folder: replace(RELEASE, workers=workers))
    started.start()._erase_users({"u"})
    assert [call[0] for call in workers.method_calls] == ["forget_users"]
    started.stop()
    assert [call[0] for call in workers.method_calls] == ["forget_users", "close"]
