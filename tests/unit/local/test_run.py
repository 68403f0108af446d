"""Airflow client and progress display: error messages, names of mapped tasks, filtering of logs."""

import httpx
import pytest

from dags.task_catalog import PIPELINE_DAGS
from local import airflow_api
from local.airflow_api import AirflowClient, AirflowError, PipelineError, follow_pipeline

TASK = {"id": "1", "dag_id": "D", "dag_run_id": "R", "task_id": "train", "try_number": 1, "duration": None}
MAPPED = {"map_index": 0, "rendered_map_index": "realtime"}


@pytest.fixture
def connect(here, monkeypatch):
    """Function that connects a client to an Airflow: path → responses, of which the last one is repeated."""
    monkeypatch.setattr(airflow_api, "POLL_INTERVAL_S", 0)
    monkeypatch.setattr(airflow_api, "SILENCE_S", 0)

    def connect(**responses):
        def respond(request):
            if request.url.path == "/auth/token":
                return httpx.Response(200, json={"access_token": "token"})
            found = responses[request.url.path.rpartition("/")[2]]
            response = found.pop(0) if len(found) > 1 else found[0]
            if isinstance(response, Exception):
                raise response
            return response if isinstance(response, httpx.Response) else httpx.Response(200, json=response)

        monkeypatch.setattr(httpx, "HTTPTransport", lambda **_: httpx.MockTransport(respond))
        return AirflowClient(here)

    return connect


@pytest.mark.parametrize("read", [lambda airflow: airflow.state("D", "R"), lambda airflow: airflow.get("/R")])
def test_an_unreachable_airflow_ends_in_an_error_with_a_remedy(connect, tmp_path, read):
    airflow = connect(R=[httpx.ReadTimeout("slow")])
    message = rf"does not respond \(ReadTimeout; its log: {tmp_path}/logs.*follow it there.*same command again"
    with airflow, pytest.raises(AirflowError, match=message):
        read(airflow)


def test_an_error_while_the_next_run_is_awaited_ends_the_command(connect):
    airflow = connect(events=[httpx.Response(401, json={"detail": "Invalid token"})])
    with airflow, pytest.raises(AirflowError, match=r"returned 401 to GET .*Invalid token"):
        airflow.find_triggered_run("D", "C", "R")


def test_the_runs_are_followed_to_the_failed_task_with_the_end_of_its_log(connect):
    queued = httpx.Response(500, json={"detail": "no start date"})
    events = {"asset_events": [{"created_dagruns": [{"dag_id": PIPELINE_DAGS[1], "run_id": "R"}]}]}
    mapped = TASK | MAPPED
    airflow = connect(
        R=[{"state": "success"}, {"state": "running"}, {"state": "running"}, {"state": "failed"}],
        events=[queued, queued, events],
        taskInstances=[
            {"task_instances": [TASK | {"state": "success", "map_index": -1, "rendered_map_index": None}]},
            {"task_instances": [mapped | {"state": "running", "rendered_map_index": "0"}]},
            {"task_instances": [mapped | {"state": "running"}]},
            {"task_instances": [mapped | {"state": "failed", "duration": 5.0}]},
        ],
        **{"1": [{"content": ["::group::x", "::endgroup::", {"event": "no channel"}]}]},
    )
    lines = []
    with pytest.raises(PipelineError) as stopped:
        follow_pipeline(airflow, "R", lines.append)
    first, second = PIPELINE_DAGS[:2]
    runs = {dag_id: f"{airflow.url}/dags/{dag_id}/runs/R" for dag_id in (first, second)}
    assert [" ".join(line.split()) for line in lines] == [
        f"{first} {runs[first]}",
        "1 of 1 train done",
        f"{second} waits for an earlier run, or is paused; see {airflow.url}/dags/{second}",
        f"{second} {runs[second]}",
        "0 of 1 train realtime running",
        "1 of 1 train realtime FAILED (5 s)",
    ]
    page = f"{airflow.url}/dags/D/runs/R/tasks/train/mapped/0"
    assert str(stopped.value) == f"D: task train realtime failed. Its log ends with:\n    no channel\n  see {page}"


@pytest.mark.parametrize(
    ("log", "shown"),
    [
        (
            [
                *("::group::Pre Execute", "Filling up the DagBag", "::endgroup::"),
                *("Tmp dir root location: /tmp", "Running command: x", "Output:"),
                *("half.zip is not a readable zip", "Command exited with return code 2"),
                "exit code 2. What to do: mend it",
                *("Task failed with exception", "::group::Post Execute", "::endgroup::"),
            ],
            ["half.zip is not a readable zip", "exit code 2. What to do: mend it"],
        ),
        (["::group::Pre Execute", "::endgroup::", "no channel"], ["no channel"]),
    ],
    ids=["command", "without output of a command"],
)
def test_the_log_of_a_task_is_shown_without_the_messages_of_airflow(log, shown):
    assert airflow_api.filter_task_output(log) == shown
