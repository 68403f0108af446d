"""`python -m local.run`: starts the services, runs the pipeline through Airflow's REST API, and prints one recommendation.

This is `make run`. It follows the triggered run, and the runs that its assets trigger, task by task. A repeated run reuses
running services and the finished work of earlier runs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import duckdb
import httpx

from config.command_line import report_errors
from config.settings import SettingError, Settings, load_api_keys, load_jwt_settings, load_settings
from console.page_parts import REPORTS, report_links, runs_url
from dags.task_catalog import PIPELINE_DAGS
from local import airflow_server, services
from local.airflow_api import AirflowClient, AirflowError, DagRun, RunQueuedError
from local.environment import environment
from local.home import HomeFormatError
from local.run_parameters import RunParameters, StepError, build_dag_conf, check_channels, parse_run_parameters
from storage import object_store
from storage.files import DiskSpaceError

STATE_LABELS = {
    "running": "running",
    "success": "done",
    "failed": "FAILED",
    "up_for_retry": "failed, will be retried",
    "up_for_reschedule": "waiting",
    "skipped": "skipped",
}
ENDED = ("success", "failed", "skipped", "upstream_failed")
"""States of a task instance that has ended."""
TIMED = ("success", "failed")
"""Those of a task that has run, whose duration is shown."""

POLL_INTERVAL_S = 1.5
"""Seconds between requests for the state of a run, which cost Airflow's API server processor time."""


class PipelineError(RuntimeError):
    """The pipeline stopped; the message contains the task, the end of its log and its URL in the UI."""


class RecommendationError(RuntimeError):
    """The recommender returned an error or did not respond; the message is its own, or says where to look."""


def run(settings: Settings, parameters: RunParameters) -> None:
    """Run the pipeline and print the addresses of its results.

    Raises:
        StepError: A requested channel does not exist.
        HomeFormatError, SettingError, DiskSpaceError, services.ServiceError: A service could not be started.
        AirflowError, PipelineError: The pipeline could not be triggered, or stopped.
        RecommendationError: The recommender does not respond.
    """
    print_flushed(f"Segue in {settings.home}")
    check_channels(parameters, environment(settings))
    print_flushed("Starting the services, usually 20 to 60 s")
    services.start(settings, print_flushed)
    print_flushed(f"Logs: {parameters.logs or 'none given; using landed logs, otherwise a simulated listening world'}")
    with AirflowClient(settings) as airflow:
        wait_for_dags(airflow)
        first = airflow.trigger(PIPELINE_DAGS[0], build_dag_conf(parameters))
        follow_pipeline(airflow, first, print_flushed)
    print_flushed("The recommender loads the release, usually 5 to 20 s")
    wait_for_recommender(settings)
    print_flushed(f"\n{describe_sample(settings)}\n")
    print_flushed(format_addresses(settings))


def format_addresses(settings: Settings) -> str:
    """Addresses of the services and reports, one per line."""
    console, recommender = settings.url(settings.console_port), settings.url(settings.recommender_port)
    reports = {report["text"]: f"{console}{report['url']}" for report in report_links(settings, *REPORTS)}
    addresses = {
        "Airflow": settings.url(settings.airflow_port),
        "  login": f"{airflow_server.USER}, password in {settings.airflow_passwords}",
        "Listening page": recommender,
        "  API page": f"{recommender}/docs",
        "MLflow": runs_url(settings),
        "Console": console,
        **{f"  {name}": url for name, url in reports.items()},
    }
    lines = [f"{name:<29} {address}" for name, address in addresses.items()]
    return "\n".join([*lines, "The services keep running; `make stop` stops them."])


def print_flushed(line: str) -> None:
    """Print a line without buffering, also into a pipe."""
    print(line, flush=True)


def wait_for_dags(airflow: AirflowClient, timeout_s: float = 120) -> None:
    """Return when Airflow has parsed every DAG of the pipeline.

    Raises:
        AirflowError: Some DAGs are missing after `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while missing := [dag_id for dag_id in PIPELINE_DAGS if not airflow.dag_exists(dag_id)]:
        if time.monotonic() > deadline:
            raise AirflowError(f"Airflow does not show {', '.join(missing)}; see the import errors at {airflow.url}")
        time.sleep(1)


def follow_pipeline(airflow: AirflowClient, first: DagRun, write: Callable[[str], None], timeout_s: float = 90) -> None:
    """Return when the run of the last DAG, triggered by `first` through the other DAGs, has succeeded.

    Args:
        airflow: Client of the Airflow server.
        first: Run of the first DAG.
        write: Receives lines of progress.
        timeout_s: Maximum time between the end of a run and the start of the next.

    Raises:
        PipelineError: A run failed, or its asset event did not start the next DAG in time.
    """
    dag_run = first
    for number, dag_id in enumerate(PIPELINE_DAGS):
        if number:
            dag_run = _wait_for_triggered_run(airflow, dag_id, dag_run, write, timeout_s)
        write(f"{dag_id}  {airflow.url}/dags/{dag_id}/runs/{dag_run.run_id}")
        dag_run = _wait_until_finished(airflow, dag_run, write)
        if dag_run.state == "failed":
            raise PipelineError(_failure_reason(airflow, dag_run))


def wait_for_recommender(settings: Settings, timeout_s: float = 120) -> None:
    """Return when the recommender serves a release.

    Raises:
        RecommendationError: It does not after `timeout_s`.
    """
    recommender = next(service for service in services.SERVICES if service.name == "recommender")
    deadline = time.monotonic() + timeout_s
    while not recommender.is_ready(settings):
        if time.monotonic() > deadline:
            raise RecommendationError(
                f"the recommender has not loaded a release within {timeout_s:.0f} s; {settings.url(settings.recommender_port)}/status "
                f"and {recommender.log(settings)} have the reason"
            )
        time.sleep(0.5)


def describe_sample(settings: Settings) -> str:
    """A recommendation as lines of text; why there is none if the recommender accepts no credential that is known here.

    Raises:
        RecommendationError: The recommender does not respond, or there is no user.
    """
    if not load_api_keys() and load_jwt_settings():
        return (
            "No sample recommendation: with SEGUE_JWT_KEY_FILE and without API keys only tokens of users are accepted."
        )
    user_id = find_recent_user(settings)
    return format_recommendations(user_id, recommend(settings, user_id))


def find_recent_user(settings: Settings) -> str:
    """Id of the user with the newest play, who therefore has a history."""
    plays = str(object_store.fetch_marts(settings) / "plays.parquet")
    newest = duckdb.execute("select user_id from read_parquet(?) order by known_at desc, user_id limit 1", [plays])
    row = newest.fetchone()
    if row is None:
        raise RecommendationError(f"{plays} contains no plays, so there is no user to recommend to; land other logs")
    return str(row[0])


def recommend(settings: Settings, user_id: str, limit: int = 5) -> dict[str, Any]:
    """Response of `POST /recommend` for a daily list.

    Raises:
        RecommendationError: The response is an error, or there is none.
    """
    url = f"{settings.url(settings.recommender_port)}/recommend"
    keys = load_api_keys()
    headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
    request = {"user_id": user_id, "scene": "daily", "limit": limit}
    try:
        response = httpx.post(url, json=request, headers=headers, timeout=60)
    except httpx.TransportError as error:
        raise RecommendationError(
            f"{url} does not respond ({type(error).__name__}); see {settings.logs / 'recommender.log'}, `make serve` "
            "restarts it"
        ) from error
    if response.is_error:
        raise RecommendationError(
            f"{url} returned {response.status_code}: {response.text[:500]}; see {settings.logs / 'recommender.log'}"
        )
    return dict(response.json())


def format_recommendations(user_id: str, response: dict[str, Any]) -> str:
    """The response as lines of text: rank, title, artists, reason."""
    lines = [f"For listener {user_id} (release {response['release']}):"]
    for rank, item in enumerate(response["items"], start=1):
        lines.append(f"  {rank}. {item['title']} — {', '.join(item['artists'])}")
        lines.append(f"     {item['reason']}")
    return "\n".join(lines)


def _wait_for_triggered_run(
    airflow: AirflowClient, dag_id: str, cause: DagRun, say: Callable[[str], None], timeout_s: float
) -> DagRun:
    deadline, is_queued = time.monotonic() + timeout_s, False
    while time.monotonic() < deadline:
        try:
            if run := airflow.find_triggered_run(dag_id, cause):
                return run
        except RunQueuedError:
            if not is_queued:
                say(f"{dag_id}  queued")
            deadline, is_queued = time.monotonic() + timeout_s, True
        time.sleep(1)
    raise PipelineError(
        f"{cause.dag_id} succeeded but {dag_id} was not started within {timeout_s:.0f} s; "
        f"is it paused? See {airflow.url}/dags/{dag_id}"
    )


def _wait_until_finished(airflow: AirflowClient, dag_run: DagRun, say: Callable[[str], None]) -> DagRun:
    """Say which tasks have started and ended, with the number of finished ones; a mapped task counts as one."""
    printed: dict[tuple[str, int], str | None] = {}
    while True:
        # Before its tasks, so that the last list of tasks is complete.
        dag_run = airflow.get_run(dag_run.dag_id, dag_run.run_id)
        tasks = airflow.list_tasks(dag_run)
        names = {task.task_id for task in tasks}
        finished = len(names - {task.task_id for task in tasks if task.state not in ENDED})
        for task in tasks:
            if task.state == "running" and not task.is_named:
                continue  # it has a name at the next poll
            key = (task.task_id, task.map_index)
            if task.state in STATE_LABELS and printed.get(key) != task.state:
                duration = f" ({task.duration_s:.0f} s)" if task.state in TIMED and task.duration_s is not None else ""
                say(f"{finished:>4} of {len(names)}  {task.name:<44} {STATE_LABELS[task.state]}{duration}")
            printed[key] = task.state
        if dag_run.is_finished:
            return dag_run
        time.sleep(POLL_INTERVAL_S)


def _failure_reason(airflow: AirflowClient, dag_run: DagRun) -> str:
    failed = [task for task in airflow.list_tasks(dag_run) if task.state == "failed"]
    if not failed:
        return f"{dag_run.dag_id} failed without a failed task; see {airflow.url}/dags/{dag_run.dag_id}/runs/{dag_run.run_id}"
    task = failed[0]
    log = "\n".join(f"    {line}" for line in airflow.read_log_tail(dag_run, task))
    return (
        f"{dag_run.dag_id}: task {task.name} failed. Its log ends with:\n{log}\n  see {airflow.task_url(dag_run, task)}"
    )


@report_errors(
    *(SettingError, StepError, HomeFormatError, DiskSpaceError, services.ServiceError, AirflowError),
    *(PipelineError, RecommendationError),
    code=1,
    interrupted="Interrupted; the services and their runs continue. `make stop` stops them.",
)
def main(arguments: list[str] | None = None) -> int:
    """Run the pipeline in Airflow."""
    parser = argparse.ArgumentParser(prog="python -m local.run", description="Run the pipeline in Airflow")
    parameters = parse_run_parameters(parser, arguments)
    run(load_settings(), parameters)
    return 0


if __name__ == "__main__":
    sys.exit(main())
