"""Waiting calls of model workers: sent at once to an idle worker, else as batches; every thread gets its own answer."""

import threading
from concurrent.futures import ThreadPoolExecutor

from serving.workers.call_queue import MAX_BATCH, CallQueue
from serving.workers.model_calls import ModelAnswer, ModelCall
from serving.workers.worker_connection import WorkerFailed
from tests.support.waiting import wait_until

TIMEOUT_S = 10.0


class HeldWorker:
    """Answers with the key of each call; waits in its first call until it is released."""

    def __init__(self, *keys):
        self.batches, self.keys, self.is_outdated = [], list(keys), False
        self.is_called, self.release = threading.Event(), threading.Event()
        self.error = None

    def call(self, calls, timeout_s):
        self.batches.append([call.key for call in calls])
        if not self.is_called.is_set():
            self.is_called.set()
            assert self.release.wait(TIMEOUT_S)
        elif self.error is not None:
            raise self.error
        return [ModelAnswer(call.key) for call in calls]

    def disconnect(self):
        self.keys.clear()
        self.is_outdated = False


class Crowd:
    """Threads that call a queue whose only worker is busy; each thread waits before the next one starts."""

    def __init__(self, worker):
        self.worker, self.queue, self.pool = worker, CallQueue(), ThreadPoolExecutor(16)
        self.queue.replace_workers([worker])
        self.first = self.pool.submit(self.queue.run, recall(0), TIMEOUT_S)
        assert worker.is_called.wait(TIMEOUT_S)
        self.waiting = []

    def add(self, call, timeout_s=TIMEOUT_S, is_alone=False):
        self.waiting.append(self.pool.submit(self.queue.run, call, timeout_s, is_alone))
        wait_until(lambda: len(self.queue._waiting) >= len(self.waiting), "the call")

    def release(self):
        self.worker.release.set()
        self.pool.shutdown()
        return [future.result().result for future in (self.first, *self.waiting)]


def recall(key, k=5, only=None):
    return ModelCall("recall_for_users", (k, only), key)


def score(key):
    return ModelCall("score", ([2, 3],), key)


def test_waiting_calls_run_as_batches_and_get_their_own_answers():
    crowd = Crowd(HeldWorker())
    for key in range(1, 2 + MAX_BATCH):
        crowd.add(recall(key))
    assert crowd.release() == list(range(2 + MAX_BATCH))
    assert crowd.worker.batches == [[0], list(range(1, 1 + MAX_BATCH)), [1 + MAX_BATCH]]


def test_only_calls_of_one_kind_are_combined_the_oldest_call_first():
    crowd = Crowd(HeldWorker())
    others = [recall(3, k=6), recall(4, only=("popularity",)), ModelCall("reasons", ({},), 5), recall(6)]
    for call in (score(1), recall(2), *others, score(7)):
        crowd.add(call)
    crowd.add(recall(8), timeout_s=TIMEOUT_S / 2)
    crowd.add(ModelCall("recall_between", ("realtime", 2, 3, 1, 5)))
    assert crowd.release() == [*range(9), None]
    assert crowd.worker.batches == [[0], [1, 7], [2, 6], [3], [4], [5], [8], [None]]


def test_all_calls_of_a_failed_batch_fail_and_can_be_repeated_alone():
    crowd = Crowd(HeldWorker())
    crowd.worker.error = WorkerFailed("killed", is_timeout=True)
    crowd.add(score(1))
    crowd.add(score(2))
    crowd.add(score(3), is_alone=True)
    crowd.worker.release.set()
    for future in crowd.waiting:
        failure = future.exception()
        assert isinstance(failure, WorkerFailed) and failure.is_timeout and str(failure) == "killed"
    assert crowd.worker.batches == [[0], [1, 2], [3]]
    crowd.worker.error = None
    assert crowd.queue.run(score(1), TIMEOUT_S, is_alone=True).result == 1


def test_a_busy_worker_forgets_users_after_its_batch():
    crowd = Crowd(HeldWorker(5))
    crowd.queue.forget_users()
    assert crowd.worker.keys == [5]
    crowd.release()
    assert crowd.worker.keys == []


def test_calls_wait_for_new_workers_and_old_ones_leave():
    crowd = Crowd(HeldWorker(5))
    crowd.add(score(1))
    new = HeldWorker()
    new.release.set()
    crowd.queue.replace_workers([new])
    assert crowd.waiting[0].result().result == 1
    crowd.release()
    assert crowd.worker.keys == [] and crowd.queue._idle == [new]
