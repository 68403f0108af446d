"""Model workers: the processes of one release. A recommender that uses them: test_distributed_start.py."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from prometheus_client import CollectorRegistry

from benchmarks.serving import synthetic_release
from benchmarks.serving.synthetic_channels import SyntheticWorld
from serving.observability.metrics import Metrics
from serving.pipeline.stages.recall import Recall
from serving.releases.served_release import load_release
from serving.workers.release_process import EVERY_VIEW
from serving.workers.release_workers import ReleaseNotLoaded, ReleaseWorkers, WorkerFailed

pytestmark = [pytest.mark.timeout(900)]
WORKERS = 2
TIMEOUT_S, RESTART_S = 60.0, 300.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("release") / "made"
    synthetic_release.make_release(path, 400, "debug", "made")
    return path


@pytest.fixture(scope="module")
def workers(folder):
    started = ReleaseWorkers(folder, WORKERS, 30.0)
    yield started
    started.close()


@pytest.fixture
def metrics():
    return Metrics(CollectorRegistry())


def children(workers):
    return psutil.Process(workers.process_id).children()


def similar(workers, metrics, item, timeout_s=TIMEOUT_S):
    return workers.call(metrics, timeout_s, "recall_continuation", np.array([item]), "", 10)


def test_results_equal_those_of_this_process(workers, folder, metrics):
    release = load_release(folder, EVERY_VIEW)
    here = Recall(metrics, 30.0, 1)
    for item in range(2, 8):
        expected = here.recall_continuation(release, np.array([item]), "", 10).candidates
        found = similar(workers, metrics, item).candidates
        assert list(found) == list(expected) == list(release.continuation_sources)
        assert "realtime" in found
        for name in expected:
            np.testing.assert_array_equal(found[name].items_BK, expected[name].items_BK)
            np.testing.assert_array_equal(found[name].scores_BK, expected[name].scores_BK)


def test_concurrent_calls_are_distributed(workers, metrics):
    expected = {item: similar(workers, metrics, item).candidates["realtime"].items_BK for item in range(2, 10)}
    items = list(range(2, 10)) * 5
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda item: similar(workers, metrics, item).candidates["realtime"].items_BK, items))
    assert all((one == expected[item]).all() for item, one in zip(items, found, strict=True))
    assert len(children(workers)) == WORKERS


def test_killed_workers_are_replaced_and_their_calls_repeated(workers, metrics):
    before = {child.pid for child in children(workers)}
    for child in children(workers):
        child.kill()
    for item in range(2, 2 + 2 * WORKERS):
        assert similar(workers, metrics, item).left_out == {}
    deadline = time.monotonic() + TIMEOUT_S  # one new worker may answer all calls before the other one is forked
    while before & (now := {child.pid for child in children(workers)}) or len(now) < WORKERS:
        assert time.monotonic() < deadline, f"workers {before} were not replaced, but are {now}"
        time.sleep(0.05)
    assert len(now) == WORKERS


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


def test_features_are_kept_for_a_request_and_dropped_for_an_erasure(workers, metrics):
    users = SyntheticWorld(400, "debug").requests(1, seed=1)
    found = workers.call(metrics, TIMEOUT_S, "recall_for_users", 10, ["favourites"], users=users)
    item = int(found.candidates["favourites"].items_BK[0, 0])
    (kept,) = {key for worker in workers._workers for key in worker.keys}
    reasons = workers.call(metrics, TIMEOUT_S, "reasons", {"favourites": [item]}, users=users)
    assert [worker.keys.count(kept) for worker in workers._workers] in ([1, 0], [0, 1])
    workers.forget_users()
    assert not any(worker.keys for worker in workers._workers)
    assert workers.call(metrics, TIMEOUT_S, "reasons", {"favourites": [item]}, users=users) == reasons


def test_an_error_of_the_release_is_raised(workers, metrics):
    with pytest.raises(ValueError, match="no call 'drop'"):
        workers.call(metrics, TIMEOUT_S, "drop")


def test_a_damaged_release_is_not_loaded(folder, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    (damaged / "fusion.json").write_text("{}")
    with pytest.raises(ReleaseNotLoaded, match=r"damaged cannot be loaded: DamagedRelease: .*fusion\.json"):
        ReleaseWorkers(damaged, WORKERS, 30.0)


def test_all_processes_are_started_again_and_end_with_the_object(folder, metrics):
    started = ReleaseWorkers(folder, 1, 30.0)
    first = started.process_id
    similar(started, metrics, 2)
    process, worker = psutil.Process(first), children(started)[0]
    process.kill()
    psutil.wait_procs([worker], TIMEOUT_S)  # a worker does not survive the process that has loaded the release
    assert not worker.is_running()
    with pytest.raises(WorkerFailed):
        similar(started, metrics, 2)
    for thread in threading.enumerate():
        if thread.name == "model-workers-restart":
            thread.join(RESTART_S)
    assert similar(started, metrics, 2).left_out == {} and started.process_id != first
    process, worker = psutil.Process(started.process_id), children(started)[0]
    del started
    assert not psutil.wait_procs([process, worker], TIMEOUT_S)[1]
