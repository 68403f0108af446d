"""Calls of a model worker: equal to local ones, features sent once, metrics repeated by the caller."""

import pickle
import threading

import pytest
from prometheus_client import CollectorRegistry

from serving.observability.metrics import Metrics
from serving.pipeline.request import read_request
from serving.pipeline.stages.recall import Recall
from serving.workers.model_calls import KEPT_USERS, MetricRecorder, ModelCall, ModelCalls
from tests.support.serving.pipeline_harness import NOW, Bench
from tests.support.serving.small_release import FavourRanker, ListChannel, history, release, tracks

RELEASE = release(
    tracks(8),
    [ListChannel("popularity", range(2, 10)), ListChannel("long_short", [], is_failing=True)],
    ranker=FavourRanker(6),
)


@pytest.fixture
def users(tmp_path):
    bench = Bench(tmp_path)
    bench.store.users["u"] = history("t0", "t1")
    return bench.hydrate.load_user_state(read_request("u", "daily", 3, NOW), RELEASE).users


@pytest.fixture
def calls():
    return ModelCalls(RELEASE, 30.0)


def send(calls, call):
    """The answer after both ways through a pipe."""
    return pickle.loads(pickle.dumps(calls.run(pickle.loads(pickle.dumps(call)))))


def test_results_and_metrics_equal_those_of_this_process(calls, users):
    registries = CollectorRegistry(), CollectorRegistry()
    here, there = Metrics(registries[0]), Metrics(registries[1])
    expected = Recall(here, 30.0, 1).recall_for_users(RELEASE, users, 5)
    answer = send(calls, ModelCall("recall_for_users", (5, None), 1, users))
    assert answer.error is None and list(answer.result.candidates) == list(expected.candidates) == ["popularity"]
    assert (answer.result.candidates["popularity"].items_BK == expected.candidates["popularity"].items_BK).all()
    assert answer.result.left_out == expected.left_out == {"long_short": "failed"}
    for update in answer.updates:
        update.apply(there)
    for name, labels in (
        ("segue_candidates_total", {"channel": "popularity"}),
        ("segue_skipped_total", {"part": "long_short"}),
        ("segue_channel_seconds_count", {"channel": "popularity"}),
    ):
        assert registries[0].get_sample_value(name, labels) == registries[1].get_sample_value(name, labels) != None  # noqa: E711


def test_channels_after_the_deadline_are_left_out(users):
    until = threading.Event()
    after = ListChannel("long_short", [2])
    slow = release(tracks(8), [ListChannel("popularity", [2]), ListChannel("realtime", [3], until=until), after])
    calls = ModelCalls(slow, 0.05)
    threading.Timer(0.1, until.set).start()
    answer = send(calls, ModelCall("recall_for_users", (5, None), 1, users))
    assert list(answer.result.candidates) == ["popularity", "realtime"]
    assert answer.result.left_out == {"long_short": "late"} and after.calls == 0
    assert ("cut_off", ("long_short", "late")) in {(update.metric, update.labels) for update in answer.updates}


def test_features_are_sent_once_per_request(calls, users):
    scores = send(calls, ModelCall("score", (users.history_items.items,), 7, users)).result
    again = send(calls, ModelCall("score", (users.history_items.items,), 7)).result
    assert scores.keys() == again.keys() and all((scores[task] == again[task]).all() for task in scores)
    reasons = send(calls, ModelCall("reasons", ({"popularity": [2, 3]},), 7)).result
    assert reasons == Recall(Metrics(CollectorRegistry()), 30.0, 1).reasons(RELEASE, users, {"popularity": [2, 3]})


def test_features_of_the_oldest_request_are_dropped(calls, users):
    for key in range(KEPT_USERS + 1):
        assert calls.run(ModelCall("reasons", ({"popularity": [2]},), key, users)).error is None
    assert calls.run(ModelCall("reasons", ({"popularity": [2]},), 1)).error is None
    assert isinstance(calls.run(ModelCall("reasons", ({"popularity": [2]},), 0)).error, KeyError)
    calls.forget_users()
    assert isinstance(calls.run(ModelCall("reasons", ({"popularity": [2]},), KEPT_USERS)).error, KeyError)


def test_unknown_methods_are_rejected(calls):
    assert isinstance(calls.run(ModelCall("__init__", ())).error, ValueError)


def test_metric_updates_are_taken_once():
    recorder = MetricRecorder()
    recorder.cut_off.labels("realtime", "late").inc()
    (update,) = recorder.take()
    assert (update.metric, update.labels, update.method, update.value) == ("cut_off", ("realtime", "late"), "inc", 1)
    assert recorder.take() == []


class NeedsTwo(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def test_errors_that_cannot_be_sent_are_replaced(calls, users, monkeypatch):
    def fail(*_):
        raise NeedsTwo("no", "vectors")

    monkeypatch.setattr(calls._ranking, "score", fail)
    error = send(calls, ModelCall("score", (users.history_items.items,), 1, users)).error
    assert type(error) is RuntimeError and str(error) == "NeedsTwo: no vectors"
