"""Newest runs of the DAGs, as Airflow's REST API answers."""

import json

import httpx
import pytest

from config import settings
from console.dag_runs import AirflowUnavailableError, read_dag_runs

URL = "http://segue.example:8080"
RUN = {"dag_id": "train_models", "dag_run_id": "asset__1", "state": "failed", "run_type": "asset_triggered",
       "start_date": "2026-06-10T03:00:00Z", "end_date": "2026-06-10T03:01:05Z"}  # fmt: skip
QUEUED = {"dag_id": "set_release", "dag_run_id": "manual__2", "state": "queued", "run_type": "manual",
          "start_date": None, "end_date": None}  # fmt: skip
TASK = {
    "dag_id": "train_models",
    "dag_run_id": "asset__1",
    "task_id": "train_channel",
    "map_index": 2,
    "rendered_map_index": "realtime",
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    here = settings.load_settings()
    here.airflow.mkdir()
    here.airflow_passwords.write_text('{"segue": "secret"}')
    return here


def airflow(password="secret"):
    """Client of an Airflow with a failed and a queued run."""

    def respond(request):
        if request.url.path == "/auth/token":
            is_valid = json.loads(request.content) == {"username": "segue", "password": password}
            return httpx.Response(201 if is_valid else 401, json={"access_token": "token"} if is_valid else {})
        assert request.headers["authorization"] == "Bearer token"
        if request.url.path.endswith("/taskInstances"):
            assert request.url.params["state"] == "failed"
            return httpx.Response(200, json={"task_instances": [TASK]})
        return httpx.Response(200, json={"dag_runs": [QUEUED, RUN]})

    return httpx.Client(base_url="http://airflow", transport=httpx.MockTransport(respond))


def test_runs_have_their_failed_tasks_with_links_to_the_log(here):
    queued, failed = read_dag_runs(here, URL, airflow())
    assert (queued.dag, queued.state, queued.trigger, queued.duration) == ("set_release", "queued", "by hand", "")
    assert (failed.state, failed.trigger, failed.duration) == ("failed", "by an asset", "1 min 5 s")
    assert failed.url == f"{URL}/dags/train_models/runs/asset__1"
    assert [(task.name, task.url) for task in failed.failed] == [
        ("train_channel realtime", f"{failed.url}/tasks/train_channel/mapped/2")
    ]


def test_an_airflow_that_does_not_accept_the_password_is_reported(here):
    with pytest.raises(AirflowUnavailableError, match="start it with: make serve"):
        read_dag_runs(here, URL, airflow("another"))


def test_an_airflow_that_never_ran_is_reported(here):
    here.airflow_passwords.unlink()
    with pytest.raises(AirflowUnavailableError, match="does not answer"):
        read_dag_runs(here, URL)
