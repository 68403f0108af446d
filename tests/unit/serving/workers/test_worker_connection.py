"""Connection to a model worker: both sides count the users that the worker has in the same way."""

import random

import pytest

from serving.workers.model_calls import KEPT_USERS, ModelCall, ModelCalls
from serving.workers.worker_connection import WorkerConnection
from tests.support.serving.small_release import FavourRanker, ListChannel, release, tracks
from tests.support.serving.worker_requests import load_requests

RELEASE = release(tracks(8), [ListChannel("popularity", range(2, 10))], ranker=FavourRanker(6))


class LocalPipe:
    """The other end of a connection, in this process."""

    def __init__(self, calls):
        self.calls, self.sent, self.is_closed = calls, [], False

    def send(self, batch):
        if self.is_closed:
            raise BrokenPipeError("closed")
        self.sent.append(batch)

    def poll(self, timeout_s):
        return True

    def recv(self):
        return self.calls.run_together(self.sent[-1])

    def close(self):
        self.is_closed = True
        self.calls.forget_users()


@pytest.fixture
def worker():
    made = WorkerConnection("no address")
    made._connection = LocalPipe(ModelCalls(RELEASE, 30.0))
    return made


@pytest.fixture
def users(tmp_path):
    return load_requests(tmp_path, {"u": 2})[0]


def score(key, users):
    return ModelCall("score", (users.history_items.items,), key, users)


def test_users_are_sent_once_and_counted_as_the_worker_does(worker, users):
    choose = random.Random(0)
    for _ in range(200):
        batch = [score(choose.randrange(3 * KEPT_USERS), users) for _ in range(choose.randint(1, 4))]
        known = set(worker.keys)
        assert [answer.error for answer in worker.call(batch, 1.0)] == [None] * len(batch)
        sent = worker._connection.sent[-1]
        assert all(call.users is None for call in sent[:1] if call.key in known)
        assert list(worker.keys) == list(worker._connection.calls._users)


def test_an_outdated_worker_drops_all_users_before_its_next_batch(worker, users, monkeypatch):
    worker.call([score(1, users), score(2, users)], 1.0)
    first, second = worker._connection, LocalPipe(ModelCalls(RELEASE, 30.0))
    monkeypatch.setattr(worker, "_connect", lambda: second)
    worker.is_outdated = True
    worker.call([score(2, users), score(3, users)], 1.0)
    assert first.is_closed and not first.calls._users
    assert [call.users is None for call in second.sent[0]] == [False, False] and list(worker.keys) == [2, 3]
