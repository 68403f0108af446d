"""Model workers: the processes of one release. A recommender that uses them: test_recommender_with_workers.py."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import psutil
import pytest
from prometheus_client import CollectorRegistry

from research.serving import synthetic_release
from serving.observability.metrics import Metrics
from serving.pipeline.stages.rank import Ranking
from serving.pipeline.stages.recall import Recall
from serving.releases.served_release import load_release
from serving.workers.call_queue import MAX_BATCH
from serving.workers.release_process import EVERY_VIEW
from serving.workers.release_workers import ReleaseNotLoaded, ReleaseWorkers
from serving.workers.worker_connection import WorkerConnection, WorkerFailed
from tests.support.waiting import wait_until
from training.data.user_batch import user_batch_from_online

pytestmark = [pytest.mark.timeout(900)]
WORKERS = 2
NOW = 1_800_000_000_000_000
TIMEOUT_S, RESTART_S = 60.0, 300.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("release") / "made"
    synthetic_release.make_release(path, 400, "debug", "made")
    return path


@pytest.fixture(scope="module")
def started(folder):
    """The workers of all tests, in a list that the last test empties."""
    found = [ReleaseWorkers(folder, WORKERS, 30.0)]
    yield found
    for one in found:
        one.close()


@pytest.fixture
def workers(started):
    return started[0]


@pytest.fixture
def metrics():
    return Metrics(CollectorRegistry())


def children(workers):
    return psutil.Process(workers.process_id).children()


def similar(workers, metrics, item, timeout_s=TIMEOUT_S):
    return workers.call(metrics, timeout_s, "recall_continuation", np.array([item]), "", 10)


def test_a_worker_that_hangs_is_replaced(workers, metrics):
    similar(workers, metrics, 2)
    for child in children(workers):
        child.suspend()
    with pytest.raises(WorkerFailed, match="did not answer recall_continuation") as failure:
        similar(workers, metrics, 2, timeout_s=0.2)
    assert failure.value.is_timeout
    for child in children(workers):
        if child.status() == psutil.STATUS_STOPPED:
            child.resume()
    assert similar(workers, metrics, 2).left_out == {}


def load_user(release, number):
    """A request of a user with `number` plays and skips."""
    ended = [NOW - 200_000_000 * place for place in range(number, 0, -1)]
    rows = {
        "event_id": [f"e{place}" for place in range(number)],
        "track_id": [f"t{(7 * number + place) % 50}" for place in range(number)],
        "behaviour": ["skip" if place % 3 == 2 else "full_play" for place in range(number)],
        "occurred_at": [at - 180_000_000 for at in ended],
        "ended_at": ended,
        "played_ratio": [1.0] * number,
        "scene": [""] * number,
    }
    sequences = {"recent_events": rows, "played_history": rows}
    return user_batch_from_online(
        release.vocabulary, EVERY_VIEW, [f"u{number}"], np.array([NOW]), sequences=[sequences], scenes=["daily"]
    )


def spy_on_batches(monkeypatch, before=lambda worker, calls: None):
    """The sizes of the batches that workers get from now on; `before` is called with a worker and its batch."""
    sizes, original = [], WorkerConnection.call

    def call(worker, calls, timeout_s):
        sizes.append(len(calls))
        before(worker, calls)
        return original(worker, calls, timeout_s)

    monkeypatch.setattr(WorkerConnection, "call", call)
    return sizes


@contextmanager
def busy(workers, metrics):
    """All workers are busy until the end of the context."""
    similar(workers, metrics, 2)
    with ThreadPoolExecutor(WORKERS) as pool:
        stopped = children(workers)
        for child in stopped:
            child.suspend()
        for item in range(2, 2 + WORKERS):
            pool.submit(similar, workers, metrics, item)
        wait_until(lambda: not workers._queue._idle, "busy workers")
        yield
        for child in stopped:
            child.resume()


def call_together(workers, metrics, method, arguments_of_users):
    """The results of calls that waited for a busy worker at the same time."""
    with ThreadPoolExecutor(16) as pool:
        with busy(workers, metrics):
            waiting = [
                pool.submit(workers.call, metrics, TIMEOUT_S, method, *arguments, users=users)
                for users, *arguments in arguments_of_users
            ]
            wait_until(lambda: len(workers._queue._waiting) >= len(waiting), "the calls")
        return [one.result() for one in waiting]


def test_concurrent_calls_run_as_batches_with_the_results_of_single_ones(workers, folder, metrics, monkeypatch):
    release = load_release(folder, EVERY_VIEW)
    here, ranking = Recall(metrics, 30.0), Ranking()
    numbers = [0, 1, 3, 10, 40, 70]
    expected = [here.recall_for_users(release, load_user(release, number), 20) for number in numbers]
    items = [np.arange(2, 12 + number) for number in numbers]
    batches, users = spy_on_batches(monkeypatch), [load_user(release, number) for number in numbers]
    for one, other in zip(
        call_together(workers, metrics, "recall_for_users", [(user, 20, None) for user in users]), expected, strict=True
    ):
        assert one.left_out == other.left_out == {} and list(one.candidates) == list(other.candidates)
        for name, found in one.candidates.items():
            np.testing.assert_array_equal(found.items_BK, other.candidates[name].items_BK)
            np.testing.assert_allclose(found.scores_BK, other.candidates[name].scores_BK, rtol=1e-6)
    assert max(batches) == MAX_BATCH
    for user, items_C, scores in zip(
        users, items, call_together(workers, metrics, "score", list(zip(users, items, strict=True))), strict=True
    ):
        for task, expected_1C in ranking.score(release, user, items_C).items():
            np.testing.assert_allclose(scores[task], expected_1C, atol=1e-6)
    found = [
        workers.call(metrics, TIMEOUT_S, "reasons", {"multi_interest": [2, 3], "realtime": [4]}, users=user)
        for user in users
    ]
    alone = [load_user(release, number) for number in numbers]
    assert found == [here.reasons(release, user, {"multi_interest": [2, 3], "realtime": [4]}) for user in alone]


def test_calls_of_a_batch_whose_worker_is_killed_are_repeated_one_by_one(workers, folder, metrics, monkeypatch):
    def kill(worker, calls):
        if len(calls) > 1:
            worker._connection or worker._connect()
            psutil.Process(worker._pid).kill()

    release = load_release(folder, EVERY_VIEW)
    users = [load_user(release, number) for number in (1, 2, 3)]
    batches = spy_on_batches(monkeypatch, kill)
    results = call_together(workers, metrics, "recall_for_users", [(user, 5, ["popularity"]) for user in users])
    assert [result.left_out for result in results] == [{}] * 3
    killed = [size for size in batches if size > 1]  # two workers may share the calls
    assert killed and sum(batches) == 1 + WORKERS + len(users) + sum(killed)
    assert len(children(workers)) == WORKERS


def test_a_damaged_release_is_not_loaded(folder, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    (damaged / "fusion.json").write_text("{}")
    with pytest.raises(ReleaseNotLoaded, match=r"damaged cannot be loaded: DamagedRelease: .*fusion\.json"):
        ReleaseWorkers(damaged, WORKERS, 30.0)


def test_all_processes_are_started_again_and_end_with_the_object(started, metrics):
    """The last test, because afterwards the workers of the other ones are gone."""
    workers = started.pop()
    first, before = workers.process_id, children(workers)
    similar(workers, metrics, 2)
    psutil.Process(first).kill()
    psutil.wait_procs(before, TIMEOUT_S)  # workers do not survive the process that has loaded the release
    assert before and not any(one.is_running() for one in before)
    with pytest.raises(WorkerFailed):
        similar(workers, metrics, 2)
    for thread in threading.enumerate():
        if thread.name == "model-workers-restart":
            thread.join(RESTART_S)
    assert similar(workers, metrics, 2).left_out == {} and workers.process_id != first
    processes = [psutil.Process(workers.process_id), *children(workers)]
    del workers
    assert len(processes) > 1 and not psutil.wait_procs(processes, TIMEOUT_S)[1]
