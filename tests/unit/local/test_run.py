"""Airflow client and progress display: retries, error messages, names of mapped tasks, filtering of logs."""

import httpx
import pytest

from config import settings
from local import airflow_api, airflow_server, run, services
from local.airflow_api import AirflowClient, AirflowError, DagRun


@pytest.fixture
def connect(tmp_path, monkeypatch):
    """Function that connects a client to an Airflow with the given responses.

    Exceptions are raised, everything else is JSON; the last response repeats. Returns the client and the list of the methods
    of its requests so far.
    """
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setattr(airflow_api, "RETRY_DELAY_S", 0)

    def create_client(*responses):
        remaining, methods = list(responses), []

        def respond(request):
            methods.append(request.method)
            response = remaining.pop(0) if len(remaining) > 1 else remaining[0]
            if isinstance(response, Exception):
                raise response
            return httpx.Response(200, json=response)

        airflow = AirflowClient(settings.load_settings())
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


def task(index, name, state):
    return {
        "task_id": "rankers.train_ranker",
        "map_index": index,
        "rendered_map_index": name,
        "state": state,
        "try_number": 1,
        "duration": None,
    }


def test_a_mapped_task_is_first_printed_once_it_has_a_name(connect, monkeypatch):
    monkeypatch.setattr(run.time, "sleep", lambda _: None)
    polls = ([("0", "running")], [("target_attention", "running")], [("target_attention", "success")])
    responses = []
    for number, tasks in enumerate(polls):
        responses.append(RUN | {"state": "success" if number == 2 else "running"})
        responses.append({"task_instances": [task(0, *one) for one in tasks]})
    airflow, _ = connect(*responses)
    lines = []
    run._wait_until_finished(airflow, DagRun("train_models", "one", "running"), lines.append)
    assert [" ".join(line.split()) for line in lines] == [
        "0 of 1 rankers.train_ranker target_attention running",
        "1 of 1 rankers.train_ranker target_attention done",
    ]


def test_a_mapped_task_that_ended_without_a_name_is_printed_with_its_index(connect):
    """It is not finished: another instance of its task waits."""
    airflow, _ = connect(RUN, {"task_instances": [task(3, "3", "failed"), task(4, "4", None)]})
    lines = []
    run._wait_until_finished(airflow, DagRun("train_models", "one", "running"), lines.append)
    assert [" ".join(line.split()) for line in lines] == ["0 of 1 rankers.train_ranker 3 FAILED"]


def test_an_unreachable_recommender_ends_in_an_error_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))

    def time_out(*_, **__):
        raise httpx.ReadTimeout("slow")

    monkeypatch.setattr(httpx, "post", time_out)
    with pytest.raises(
        run.RecommendationError,
        match=r"does not respond \(ReadTimeout\); see .*recommender.log, `make serve`",
    ):
        run.recommend(settings.load_settings(), "u1")


def test_without_a_key_for_a_recommender_of_token_holders_the_run_ends_without_a_sample(tmp_path, monkeypatch, capsys):
    key = tmp_path / "key.pem"
    key.touch()
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setenv("SEGUE_JWT_KEY_FILE", str(key))
    monkeypatch.setenv("SEGUE_JWT_ISSUER", "https://login.example.org")
    monkeypatch.setenv("SEGUE_JWT_AUDIENCE", "segue")
    monkeypatch.delenv("SEGUE_API_KEYS", raising=False)
    monkeypatch.setattr(run.services, "start", lambda *_: None)
    for name in ("check_channels", "wait_for_dags", "follow_pipeline", "wait_for_recommender"):
        monkeypatch.setattr(run, name, lambda *_: None)
    monkeypatch.setattr(AirflowClient, "trigger", lambda *_: None)
    monkeypatch.setattr(httpx, "post", lambda *_, **__: httpx.Response(401, text="missing or unknown API key"))
    assert run.main([]) == 0
    printed = capsys.readouterr().out
    assert "No sample recommendation: with SEGUE_JWT_KEY_FILE" in printed and "Listening page" in printed


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


@pytest.mark.parametrize(("host", "in_url"), [("::1", "[::1]"), ("0.0.0.0", "localhost")])
def test_addresses_of_services_can_be_opened(tmp_path, monkeypatch, host, in_url):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setenv("SEGUE_HOST", host)
    here = settings.load_settings()
    for service in services.SERVICES:
        assert str(httpx.URL(service.url(here))) == f"http://{in_url}:{service.port(here)}"
    assert airflow_server.environment(here)["AIRFLOW__API__BASE_URL"] == f"http://{in_url}:{here.airflow_port}"
    lines = dict(line.split(maxsplit=1) for line in run.format_addresses(here).splitlines() if "http" in line)
    assert lines["Console"] == f"http://{in_url}:{here.console_port}"
    assert lines["MLflow"] == f"http://{in_url}:{here.mlflow_port}"
