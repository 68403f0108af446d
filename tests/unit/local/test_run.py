"""Airflow client and progress display: retries, error messages, names of mapped tasks, filtering of logs."""

from contextlib import nullcontext
from unittest import mock

import httpx
import pytest

from local import airflow_api
from local.airflow_api import AirflowClient, AirflowError, DagRun, RunQueuedError

RUN = {"dag_id": "train_models", "dag_run_id": "one", "state": "success"}


@pytest.fixture
def connect(here, monkeypatch):
    """Function that connects a client to an Airflow with the given responses; returns it and the mock of the responses."""
    monkeypatch.setattr(airflow_api, "RETRY_DELAY_S", 0)

    def connect(responses):
        airflow, respond = AirflowClient(here), mock.Mock(side_effect=responses)
        airflow._client = httpx.Client(base_url=airflow.url, transport=httpx.MockTransport(respond))
        return airflow, respond

    return connect


@pytest.mark.parametrize("error", [httpx.ReadTimeout("slow"), httpx.ConnectError("away")])
def test_get_requests_are_retried(connect, error):
    airflow, respond = connect([error] * 4 + [httpx.Response(200, json=RUN)])
    assert airflow.get_run("train_models", "one").is_finished
    assert respond.call_count == 5


@pytest.mark.parametrize(
    ("ask", "attempts"),
    [
        pytest.param(lambda airflow: airflow.get_run("train_models", "one"), 5, id="GET"),
        pytest.param(lambda airflow: airflow.trigger("train_models", {}), 1, id="POST is not retried"),
    ],
)
def test_an_unreachable_airflow_ends_in_an_error_with_a_remedy(connect, tmp_path, ask, attempts):
    airflow, respond = connect(httpx.ReadTimeout("slow"))
    message = rf"does not respond \(ReadTimeout; its log: {tmp_path}/logs.*follow it there.*same command again"
    with pytest.raises(AirflowError, match=message):
        ask(airflow)
    assert respond.call_count == attempts


@pytest.mark.parametrize(
    ("status", "queued", "error"),
    [(500, [RUN | {"state": "queued"}], RunQueuedError), (500, [], None), (503, [], AirflowError)],
    ids=["waited for until it starts", "an error without a queued run", "another error"],
)
def test_a_queued_run_is_waited_for(connect, status, queued, error):
    responses = [httpx.Response(status, json={"asset_events": []}), httpx.Response(200, json={"dag_runs": queued})]
    airflow, respond = connect(responses)
    cause = DagRun("ingest_listening_logs", "one", "success")
    with pytest.raises(error) if error else nullcontext():
        assert airflow.find_triggered_run("build_features", cause) is None
    if status == 500:
        url = respond.call_args.args[0].url
        assert (url.path, url.params["state"]) == ("/api/v2/dags/build_features/dagRuns", "queued")


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
