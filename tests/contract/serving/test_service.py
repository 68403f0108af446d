"""The HTTP API over ASGI, with a hand-made release."""

import io
import json
from unittest import mock

import pytest
from prometheus_client import REGISTRY

from config import settings
from event_store.opened import open_serving_state
from recommender.recall.continuation.source import SimilarItems
from serving.events import erasure_requests
from serving.http.admission import Admission
from serving.observability import structured_log
from storage.suppression_list import UNFINISHED_FILE
from tests.support.serving.asgi_client import serving_client
from tests.support.serving.release_search import with_search
from tests.support.serving.small_release import CircleChannel, ListChannel, release, tracks


def served(folder):
    table = tracks(
        8,
        audio_url=["https://music.example/0.ogg", *[None] * 7],
        territories=[[], ["DE"], *[None] * 6],
        is_explicit=[None, None, True, *[False] * 5],
        emotions=[["quiet"], ["quiet"], ["quiet"], ["happy"], ["quiet"], ["quiet"], ["happy"], ["happy"]],
    )
    realtime = CircleChannel("realtime", [], 8, is_failing=True, near={2: [9, 8, 7]})
    channels = [ListChannel("popularity", range(2, 10)), realtime]
    made = release(table, channels, continuation_sources={"realtime": SimilarItems(realtime)})
    return with_search(made, table)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with (
        pytest.MonkeyPatch.context() as patch,
        serving_client(tmp_path_factory.mktemp("home"), served) as client,
    ):
        patch.setattr(erasure_requests, "_run_erasure", lambda here: 0)  # no process of its own
        yield client


@pytest.fixture
def log(client):
    """The log lines of the service during a test."""
    stream = io.StringIO()
    structured_log.configure_logging(stream)

    def lines():
        found = [json.loads(line) for line in stream.getvalue().splitlines()]
        return [line for line in found if line["logger"].startswith("serving")]

    return lines


def ask(client, path="/recommend", **body):
    answer = client.post(path, json={"user_id": "u"} | body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(answer):
    return [item["track_id"] for item in answer["items"]]


def test_an_exception_in_a_middleware_is_answered_at_once_with_a_traceback_in_the_log(client, log, monkeypatch):
    monkeypatch.setattr(Admission, "__call__", mock.AsyncMock(side_effect=LookupError("out of order")))
    answer = client.post("/recommend", json={"user_id": "u"})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.headers["connection"] == "close" and "the log of the service" in answer.json()["detail"]
    assert "LookupError: out of order" in log()[-1]["traceback"] and answer.elapsed.total_seconds() < 10


def test_no_metric_has_a_label_that_clients_choose(client):
    assert client.get("/nowhere/1").status_code == 404
    samples = [sample for metric in REGISTRY.collect() for sample in metric.samples]
    assert not any("/nowhere" in value for sample in samples for value in sample.labels.values())


@pytest.mark.parametrize("path", ["/events/", "/static_content", "/recommend//"])
def test_requests_are_not_redirected_to_the_host_that_they_name(client, path):
    answer = client.post(path, json={}, headers={"Host": "localhost:1"}, follow_redirects=False)
    assert answer.status_code == 404 and "location" not in answer.headers


@pytest.mark.parametrize("path", ["/listeners", "/search"])
def test_a_request_without_a_body_gets_the_defaults(client, path):
    assert client.post(path).json() == client.post(path, json={}).json()


def test_parameters_of_a_request(client):
    assert ids(ask(client, scene="private_fm", limit=1, discovery=0)) == ["t0"]
    assert ids(ask(client, scene="private_fm", limit=1, discovery=1)) == ["t2"]
    body = {"scene": "private_fm", "limit": 4, "user_id": "traveller"}
    assert ids(ask(client, **body)) == ["t0", "t2", "t4", "t6"]
    assert ids(ask(client, **body, territory="DE", explicit=False)) == ["t0", "t3", "t4", "t6"]
    assert "t1" in ids(ask(client, user_id="at home", territory="DE"))
    assert ask(client, limit=2, debug=True)["trace"]["left_out"] == {"realtime": "failed"}
    (near,) = ask(client, "/similar", user_id="u", track_id="t0", limit=1, language="zh")["items"]
    assert near["reason"] == "因为它与 Artist 0 的《Song 0》 相近"


def test_status(client):
    answer = client.get("/status")
    expected = {"is_ready": True, "degraded": [], "release": "r1", "experiment": None, "canaries": [], "rejected": []}
    (worker,) = answer.json()["workers"]
    assert (answer.status_code, answer.json()) == (200, expected | {"workers": [worker]})
    assert worker["release"] == "r1"


def test_a_blocked_track_is_gone_from_searches_before_the_store_has_the_event(client):
    event = {"user_id": "blocker", "action": "block", "target_type": "track", "target_id": "t0"}
    assert client.post("/events", json={"events": [event]}).json()["accepted"] == 1
    for query, found in (("calm", {"t2", "t4", "t5"}), ("song 0", set()), ("", set())):
        shown = set(ids(ask(client, "/search", query=query, user_id="blocker")))
        assert found <= shown and "t0" not in shown


def test_request_and_failures_are_logged_with_the_request_id(client, log):
    answer = ask(client, scene="private_fm")
    failed, line = log()
    assert failed["message"].startswith("channel realtime failed") and "out of order" in failed["traceback"]
    assert failed["request_id"] == line["request_id"] == answer["request_id"]
    assert (line["message"], line["outcome"], line["scene"]) == ("request", "answered", "private_fm")
    assert (line["tracks"], line["release"], line["arm"], line["left_out"]) == (3, "r1", "", {"realtime": "failed"})
    assert "user_id" not in line


def test_report_whose_events_are_all_rejected_is_a_problem_with_the_report(client):
    answer = client.post("/events", json={"events": [{"user_id": "reporter"}, 5]})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    problem = answer.json()
    assert (problem["accepted"], problem["duplicate"]) == (0, 0)
    assert [row["index"] for row in problem["rejected"]] == [0, 1]
    assert problem["rejected"][0]["reason"] in problem["detail"]


def report(client, action, kind="track", target="t0", **columns):
    event = {"user_id": "listener", "action": action, "target_type": kind, "target_id": target} | columns
    return client.post("/events", json={"events": [event]}).json()


def test_a_private_session_is_neither_logged_nor_recorded_as_shown(client):
    assert report(client, "start_private", "session", "page")["accepted"] == 1
    assert report(client, "play", played_ms=1000)["private"] == 1
    assert ask(client, "/taste", user_id="listener")["private_session"]
    shown, others = (ask(client, user_id=user, scene="private_fm")["request_id"] for user in ("listener", "another"))
    exposures = open_serving_state(settings.load_settings()).read(None, 1000)
    recorded = {record["request_id"] for _, record in exposures}
    assert shown not in recorded and others in recorded


def test_an_erasure_with_a_damaged_list_gets_the_remedy(client):
    path = settings.load_settings().home / UNFINISHED_FILE
    path.write_text("[")
    answer = client.post("/erase", json={"user_id": "later", "confirm": "later"})
    path.unlink()
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert "is damaged" in answer.json()["detail"] and "privacy.erase" in answer.json()["detail"]
