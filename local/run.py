"""`python -m local.run`: starts the services, runs the pipeline through Airflow's REST API, and prints one recommendation.

This is `make run`. It follows the triggered run, and the runs that its assets trigger, task by task. A repeated run reuses
running services and the finished work of earlier runs.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import duckdb
import httpx

from config.command_line import report_errors
from config.settings import SettingError, Settings, load_api_keys, load_jwt_settings, load_settings
from console.page_parts import REPORTS, report_links, runs_url
from dags.task_catalog import PIPELINE_DAGS
from local import services
from local.airflow_api import AirflowClient, AirflowError, PipelineError, follow_pipeline, wait_for_dags
from local.home import HomeFormatError
from local.run_parameters import RunParameters, build_dag_conf, parse_run_parameters
from local.wrappers import airflow_server
from storage import object_store
from storage.files import DiskSpaceError


class RecommendationError(RuntimeError):
    """The recommender returned an error or did not respond; the message is its own, or says where to look."""


def run(settings: Settings, parameters: RunParameters) -> None:
    """Run the pipeline and print the addresses of its results.

    Raises:
        HomeFormatError, SettingError, DiskSpaceError, services.ServiceError: A service could not be started.
        AirflowError, PipelineError: The pipeline could not be triggered, or stopped.
        RecommendationError: The recommender does not respond.
    """
    print_flushed(f"Segue in {settings.home}")
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


@report_errors(
    *(SettingError, HomeFormatError, DiskSpaceError, services.ServiceError, AirflowError),
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
