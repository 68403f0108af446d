"""Airflow on Celery, Redis and PostgreSQL, as in the compose file: runs survive the kill of a worker."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from threading import Thread

import pytest

from dags.task_catalog import PIPELINE_DAGS
from local.airflow_api import AirflowClient, DagRun
from local.run import follow_pipeline
from tests.e2e.celery_cluster import Cluster, TaskName, running
from tests.e2e.installation import wait_until
from tests.e2e.process_kills import landed
from tests.support.log_sources import event
from tests.support.tiers import acceptance_only

pytestmark = [acceptance_only, pytest.mark.timeout(900)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    # PostgreSQL runs as another user and needs access to its folder
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    return tmp_path / "home"


def test_a_worker_killed_in_a_task_costs_one_retry(home: Path) -> None:
    log = home.parent / "log.jsonl"
    log.write_text("".join(json.dumps(event(number)) + "\n" for number in range(50)))
    with running(home) as cluster:
        first = cluster.start_worker()
        run = cluster.trigger(PIPELINE_DAGS[0], logs=str(log), recipe="debug")
        # Suspended, so that the kill is in the middle of the task on any machine
        processes = wait_until(lambda: cluster.find_processes("local.land", "--logs"), "landing")
        for process in processes:
            process.suspend()
        cluster.kill_worker(first)
        cluster.start_worker()
        wait_until(lambda: cluster.state(run) in ("success", "failed"), "the end of the run")
        assert cluster.state(run) == "success"
        tries = cluster.tries(run)
    assert tries["land_logs"] == 2
    assert {name: number for name, number in tries.items() if number != 1} == {"land_logs": 2}
    rows = [row for name, rows in landed(home).items() if name.startswith("listening_events") for row in rows]
    assert len(rows) == 50


@pytest.fixture
def cluster(home: Path) -> Iterator[Cluster]:
    # One task at a time, so that a kill affects one task, which has three attempts
    with running(home, parallelism=1) as cluster:
        yield cluster
    shutil.rmtree(home, ignore_errors=True)


@pytest.mark.timeout(7200)
def test_a_worker_killed_in_every_task_leaves_a_release(cluster: Cluster) -> None:
    """Observes the workers instead of one DAG after the other, because tasks of two DAGs alternate."""
    killed: set[TaskName] = set()
    seen: set[str] = set()
    worker = cluster.start_worker()
    over = Future[None]()
    first = cluster.trigger(PIPELINE_DAGS[0], recipe="debug")
    Thread(target=lambda: _follow(cluster, first, over), daemon=True).start()
    while not over.done():
        for _, attempt_id, task in cluster.started_tasks():
            if attempt_id not in seen and task not in killed:
                killed.add(task)
                print(f"killing the worker of {task}", flush=True)
                cluster.kill_worker(worker)
                worker = cluster.start_worker()
            seen.add(attempt_id)
        time.sleep(0.02)
    over.result()
    assert {dag for dag, _, _ in killed} - {"encode_remaining_content"} == set(PIPELINE_DAGS)
    assert cluster.done_tasks() - killed == set()
    assert (cluster.settings.releases / "active.json").exists()


def _follow(cluster: Cluster, first: DagRun, over: Future[None]) -> None:
    try:
        with AirflowClient(cluster.settings) as airflow:
            follow_pipeline(airflow, first, lambda _: None, timeout_s=600)
        over.set_result(None)
    except BaseException as error:
        over.set_exception(error)
