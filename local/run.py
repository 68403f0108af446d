"""`python -m local.run`: starts the services, runs the pipeline through Airflow's REST API, and prints one recommendation.

This is `make run`. A repeated run reuses running services and the finished work of earlier runs.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from config.settings import SettingError, Settings, load_settings
from console.reports import REPORTS
from dags.task_catalog import PIPELINE_DAGS
from local import airflow_server, recommendations, services
from local.airflow_api import AirflowClient, AirflowError
from local.disk_space import DiskSpaceError
from local.environment import environment
from local.home_format import HomeFormatError
from local.pipeline import RunParameters, StepError, check_channels, parse_run_parameters
from local.ports import PortTakenError
from local.progress import PipelineError, follow_pipeline


def run(settings: Settings, parameters: RunParameters) -> None:
    """Run the pipeline and print the addresses of its results.

    Raises:
        StepError: A requested channel does not exist.
        HomeFormatError, PortTakenError, DiskSpaceError, services.ServiceError: A service could not be started.
        AirflowError, PipelineError: The pipeline could not be triggered, or stopped.
        recommendations.RecommendationError: The recommender does not respond.
    """
    print_flushed(f"Segue in {settings.home}")
    check_channels(parameters, environment(settings))
    services.start(settings, print_flushed)
    print_flushed(f"Logs: {parameters.logs or 'none given; using landed logs, otherwise a simulated listening world'}")
    with AirflowClient(settings) as airflow:
        wait_for_dags(airflow)
        follow_pipeline(airflow, airflow.trigger(PIPELINE_DAGS[0], build_dag_conf(parameters)), print_flushed)
    wait_for_recommender(settings)
    user_id = recommendations.find_recent_user(settings)
    response = recommendations.recommend(settings, user_id)
    print_flushed(f"\n{recommendations.format_recommendations(user_id, response)}\n")
    print_flushed(format_addresses(settings))


def build_dag_conf(parameters: RunParameters) -> dict[str, Any]:
    """Params of the run, as the trigger form of the UI sends them."""
    return {
        "as_of": parameters.as_of,
        "recipe": parameters.recipe,
        "channels": list(parameters.channels) or None,
        "logs": parameters.logs,
    }


def format_addresses(settings: Settings) -> str:
    """Addresses of the services and reports, one per line."""
    host = f"http://{settings.host}"
    reports = {
        report.name: f"{host}:{settings.console_port}{report.url_path}" for report in REPORTS if report.exists(settings)
    }
    addresses = {
        "Airflow": f"{host}:{settings.airflow_port}",
        "  login": f"{airflow_server.USER}, password in {airflow_server.passwords_file(settings)}",
        "Listening page": f"{host}:{settings.recommender_port}",
        "  API page": f"{host}:{settings.recommender_port}/docs",
        "MLflow": f"{host}:{settings.mlflow_port}",
        "Console": f"{host}:{settings.console_port}",
        **{f"  {name}": url for name, url in reports.items()},
    }
    lines = [f"{name:<20} {address}" for name, address in addresses.items()]
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


def wait_for_recommender(settings: Settings, timeout_s: float = 120) -> None:
    """Return when the recommender serves a release.

    Raises:
        recommendations.RecommendationError: It does not after `timeout_s`.
    """
    recommender = next(service for service in services.SERVICES if service.name == "recommender")
    deadline = time.monotonic() + timeout_s
    while not recommender.is_ready(settings):
        if time.monotonic() > deadline:
            raise recommendations.RecommendationError(
                f"the recommender has not loaded a release; see {recommender.log(settings)}"
            )
        time.sleep(0.5)


def main(arguments: list[str] | None = None) -> int:
    """Run the pipeline in Airflow."""
    parser = argparse.ArgumentParser(prog="python -m local.run", description="Run the pipeline in Airflow")
    parameters = parse_run_parameters(parser, arguments)
    try:
        run(load_settings(), parameters)
    except (
        SettingError,
        StepError,
        HomeFormatError,
        PortTakenError,
        DiskSpaceError,
        services.ServiceError,
        AirflowError,
        PipelineError,
        recommendations.RecommendationError,
    ) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; the services and their runs continue. `make stop` stops them.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
