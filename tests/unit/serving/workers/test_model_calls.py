"""Calls of a model worker: equal to local ones, features sent once, metrics repeated by the caller."""

import pickle
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from serving.pipeline.request import read_request
from serving.workers.model_calls import KEPT_USERS, ModelCall, ModelCalls
from tests.support.serving.pipeline_harness import NOW, Bench
from tests.support.serving.small_release import FavourRanker, ListChannel, history, release, tracks
from tests.support.serving.worker_requests import load_requests

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


def run(calls, call):
    """The answer to a single call."""
    (answer,) = calls.run_together([call])
    return answer


def send(calls, call):
    """The answer after both ways through a pipe."""
    return pickle.loads(pickle.dumps(run(calls, pickle.loads(pickle.dumps(call)))))


def test_features_of_the_oldest_request_are_dropped(calls, users):
    for key in range(KEPT_USERS + 1):
        assert run(calls, ModelCall("reasons", ({"popularity": [2]},), key, users)).error is None
    assert run(calls, ModelCall("reasons", ({"popularity": [2]},), 1)).error is None
    assert isinstance(run(calls, ModelCall("reasons", ({"popularity": [2]},), 0)).error, KeyError)
    calls.forget_users()
    assert isinstance(run(calls, ModelCall("reasons", ({"popularity": [2]},), KEPT_USERS)).error, KeyError)


def test_unknown_methods_are_rejected(calls):
    assert isinstance(run(calls, ModelCall("__init__", ())).error, ValueError)


class NeedsTwo(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def test_errors_that_cannot_be_sent_are_replaced(calls, users, monkeypatch):
    monkeypatch.setattr(calls._ranking, "score", mock.Mock(side_effect=NeedsTwo("no", "vectors")))
    error = send(calls, ModelCall("score", (users.history_items.items,), 1, users)).error
    assert type(error) is RuntimeError and str(error) == "NeedsTwo: no vectors"


@pytest.fixture
def requests(tmp_path):
    return load_requests(tmp_path / "requests", {"u0": 0, "u1": 1, "u2": 6})


def test_one_failing_call_of_a_batch_does_not_fail_the_others(requests, monkeypatch):
    of = replace(RELEASE, ranker=FavourRanker(6))
    score = of.ranker.score

    def fail_for_one_user(users, items_BC):
        if "u1" in users.user_ids:
            raise ValueError("no scores for u1")
        return score(users, items_BC)

    monkeypatch.setattr(of.ranker, "score", fail_for_one_user)
    batch = [ModelCall("score", (np.array([2, 6]),), key, users) for key, users in enumerate(requests)]
    answers = ModelCalls(of, 30.0).run_together(batch)
    assert [str(answer.error) for answer in answers] == ["None", "no scores for u1", "None"]
    assert [answers[row].result["not_skipped"].tolist() for row in (0, 2)] == [[[0, 1]]] * 2


def test_a_call_without_sent_features_does_not_fail_its_batch(calls, requests):
    batch = [ModelCall("score", (np.array([2, 6]),), 0, requests[0]), ModelCall("score", (np.array([6]),), 1)]
    known, unknown = calls.run_together(batch)
    assert known.result["not_skipped"].tolist() == [[0, 1]] and isinstance(unknown.error, KeyError)


def test_features_that_a_later_call_of_the_batch_drops_are_still_used(calls, requests):
    for key in range(KEPT_USERS):
        run(calls, ModelCall("score", (np.array([6]),), key, requests[0]))
    batch = [ModelCall("score", (np.array([6]),), 0), ModelCall("score", (np.array([6]),), 99, requests[1])]
    assert [answer.error for answer in calls.run_together(batch)] == [None, None]
    assert isinstance(run(calls, batch[0]).error, KeyError)
