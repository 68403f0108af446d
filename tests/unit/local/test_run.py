"""Airflow client and progress display: retries, error messages, names of mapped tasks, filtering of logs."""

import httpx
import pytest

from local import airflow_api
from local.airflow_api import AirflowClient, AirflowError, DagRun


@pytest.fixture
def connect(here, monkeypatch):
    """Function that connects a client to an Airflow with the given responses.

    Exceptions are raised, everything else is JSON; the last response repeats. Returns the client and the list of the methods
    of its requests so far.
    """
    monkeypatch.setattr(airflow_api, "RETRY_DELAY_S", 0)

    def create_client(*responses):
        remaining, methods = list(responses), []

        def respond(request):
            methods.append(request.method)
            response = remaining.pop(0) if len(remaining) > 1 else remaining[0]
            if isinstance(response, Exception):
                raise response
            return httpx.Response(200, json=response)

        airflow = AirflowClient(here)
        airflow._client = httpx.Client(base_url=airflow.url, transport=httpx.MockTransport(respond))
        return airflow, methods

    return create_client


RUN = {"dag_id": "train_models", "dag_run_id": "one", "state": "success"}


@pytest.mark.parametrize("error", [httpx.ReadTimeout("slow"), httpx.ConnectError("away")])
def test_get_requests_are_retried(connect, error):
    airflow, methods = connect(error, error, error, error, RUN)
    assert airflow.get_run("train_models", "one").is_finished
    assert len(methods) == 5


def test_an_unreachable_airflow_ends_in_an_error_with_a_remedy(connect, tmp_path):
    airflow, methods = connect(httpx.ReadTimeout("slow"))
    with pytest.raises(
        AirflowError, match=rf"does not respond \(ReadTimeout; its log: {tmp_path}/logs.*same command again"
    ):
        airflow.get_run("train_models", "one")
    assert len(methods) == 5


def test_triggering_a_run_is_not_retried(connect):
    airflow, methods = connect(httpx.ReadTimeout("slow"))
    with pytest.raises(AirflowError, match="follow it there"):
        airflow.trigger("train_models", {})
    assert methods == ["POST"]


@pytest.fixture
def find_triggered_run(connect):
    """Function that looks for a run of build_features in an Airflow with this status of asset events and these queued runs."""

    def find(status, queued_runs=()):
        airflow, _ = connect(RUN)

        def respond(request):
            if request.url.path.endswith("/assets/events"):
                return httpx.Response(status, json={"asset_events": []})
            assert (request.url.path, request.url.params["state"]) == ("/api/v2/dags/build_features/dagRuns", "queued")
            return httpx.Response(200, json={"dag_runs": list(queued_runs)})

        airflow._client = httpx.Client(base_url=airflow.url, transport=httpx.MockTransport(respond))
        return airflow.find_triggered_run("build_features", DagRun("ingest_listening_logs", "one", "success"))

    return find


def test_a_queued_run_is_waited_for_until_it_starts(find_triggered_run):
    with pytest.raises(airflow_api.RunQueuedError):
        find_triggered_run(500, [RUN | {"state": "queued"}])


def test_an_error_of_airflow_without_a_queued_run_does_not_extend_the_deadline(find_triggered_run):
    assert find_triggered_run(500) is None
    with pytest.raises(AirflowError, match="Airflow returned 503 to GET") as caught:
        find_triggered_run(503)
    assert not isinstance(caught.value, airflow_api.RunQueuedError)


def test_the_log_of_a_task_is_shown_without_the_messages_of_airflow():
    log = [
        "::group::Pre Execute",
        "Filling up the DagBag",
        "::endgroup::",
        "Tmp dir root location: /tmp",
        "Running command: x",
    ]
    log += [
        "Output:",
        "half.zip is not a readable zip",
        "Command exited with return code 2",
        "exit code 2. What to do: mend it",
    ]
    log += ["Task failed with exception", "::group::Post Execute", "::endgroup::"]
    assert airflow_api.filter_task_output(log) == ["half.zip is not a readable zip", "exit code 2. What to do: mend it"]
    assert airflow_api.filter_task_output(["::group::Pre Execute", "::endgroup::", "no channel"]) == ["no channel"]
