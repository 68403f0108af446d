"""The line is followed by the names of its tasks, through an Airflow that is held up, and ends in a sentence when it is gone."""

import httpx
import pytest

from config import settings
from local import airflow_api, progress, recommendations
from local.airflow_api import AirflowClient, AirflowError, DagRun


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """An Airflow whose answers are given here: exceptions are raised, everything else is JSON; what it was asked, by method."""
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setattr(airflow_api, "RETRY_DELAY_S", 0)

    def of(*answers):
        left, heard = list(answers), []

        def answer(request):
            heard.append(request.method)
            one = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(one, Exception):
                raise one
            return httpx.Response(200, json=one)

        airflow = AirflowClient(settings.load_settings())
        airflow._client = httpx.Client(base_url=airflow.url, transport=httpx.MockTransport(recommendations))
        return airflow, heard

    return of


RUN = {"dag_id": "train_models", "dag_run_id": "one", "state": "success"}


@pytest.mark.parametrize("error", [httpx.ReadTimeout("slow"), httpx.ConnectError("away")])
def test_an_airflow_that_is_held_up_is_asked_again(asked, error):
    airflow, heard = asked(error, error, error, error, RUN)
    assert airflow.run("train_models", "one").is_over
    assert len(heard) == 5


def test_an_airflow_that_does_not_answer_ends_in_a_sentence_with_a_remedy(asked, tmp_path):
    airflow, heard = asked(httpx.ReadTimeout("slow"))
    with pytest.raises(
        AirflowError, match=rf"does not answer \(ReadTimeout; its log: {tmp_path}/logs.*same command again"
    ):
        airflow.run("train_models", "one")
    assert len(heard) == 5


def test_a_run_is_not_triggered_twice_by_an_answer_that_does_not_come(asked):
    airflow, heard = asked(httpx.ReadTimeout("slow"))
    with pytest.raises(AirflowError, match="watch it there"):
        airflow.trigger("train_models", {})
    assert heard == ["POST"]


def task(index, name, state):
    return {
        "task_id": "rankers.train_ranker",
        "map_index": index,
        "rendered_map_index": name,
        "state": state,
        "try_number": 1,
        "duration": None,
    }


def test_a_mapped_task_is_told_by_its_name_from_the_first_line_on(asked, monkeypatch):
    monkeypatch.setattr(progress.time, "sleep", lambda _: None)
    looks = ([("0", "running")], [("target_attention", "running")], [("target_attention", "success")])
    answers = []
    for number, tasks in enumerate(looks):
        answers.append(RUN | {"state": "success" if number == 2 else "running"})
        answers.append({"task_instances": [task(0, *one) for one in tasks]})
    airflow, _ = asked(*answers)
    said = []
    progress._wait_until_finished(airflow, DagRun("train_models", "one", "running"), said.append)
    assert [line.split() for line in said] == [
        ["rankers.train_ranker", "target_attention", "running"],
        ["rankers.train_ranker", "target_attention", "done"],
    ]


def test_a_mapped_task_that_ended_before_it_had_a_name_is_told_by_its_number(asked):
    airflow, _ = asked(RUN, {"task_instances": [task(3, "3", "failed")]})
    said = []
    progress._wait_until_finished(airflow, DagRun("train_models", "one", "running"), said.append)
    assert [line.split() for line in said] == [["rankers.train_ranker", "3", "FAILED"]]


def test_a_recommender_that_does_not_answer_ends_in_a_sentence_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))

    def held_up(*_, **__):
        raise httpx.ReadTimeout("slow")

    monkeypatch.setattr(httpx, "post", held_up)
    with pytest.raises(
        recommendations.RecommendationError,
        match=r"does not answer \(ReadTimeout\); see .*recommender.log, `make serve`",
    ):
        recommendations.recommend(settings.load_settings(), "u1")


def test_of_a_failed_task_is_told_what_it_said_itself():
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
