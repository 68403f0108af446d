"""`python -m local.run`: services up, the line triggered through Airflow's REST API and watched, one answer printed.

What `make run` does. A second time it reuses the services that run and what the line has made.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from config.settings import SettingError, Settings, load_settings
from console.reports import REPORTS
from local import airflow_server, recommendations, services
from local.airflow_api import AirflowClient, AirflowError
from local.disk_space import DiskSpaceError
from local.environment import environment
from local.pipeline import RunParameters, StepError, check_channels, parse_run_parameters
from local.ports import PortTakenError
from local.progress import PIPELINE_DAGS, PipelineError, follow_pipeline


def run(settings: Settings, asked: RunParameters) -> None:
    """Run the line and print where everything is.

    Raises:
        StepError: a channel is asked for that there is not.
        PortTakenError, NoRoomError, services.ServiceError: a service could not be started.
        AirflowError, LineError: the line could not be triggered, or stopped.
        answer.AnswerError: the recommender has no answer.
    """
    print_flushed(f"Segue in {settings.home}")
    check_channels(asked, environment(settings))
    services.start(settings, print_flushed)
    print_flushed(f"Logs: {asked.logs or 'none given, so what is landed already, or else a simulated listening world'}")
    with AirflowClient(settings) as airflow:
        wait_for_dags(airflow)
        follow_pipeline(airflow, airflow.trigger(PIPELINE_DAGS[0], build_dag_conf(asked)), print_flushed)
    wait_for_recommender(settings)
    user_id = recommendations.find_recent_user(settings)
    print_flushed(
        f"\n{recommendations.format_recommendations(user_id, recommendations.recommend(settings, user_id))}\n"
    )
    print_flushed(format_addresses(settings))


def build_dag_conf(asked: RunParameters) -> dict[str, Any]:
    """The run's Params, as the trigger form of the UI would send them."""
    return {"as_of": asked.as_of, "recipe": asked.recipe, "channels": list(asked.channels) or None, "logs": asked.logs}


def format_addresses(settings: Settings) -> str:
    """The addresses, for a person to click."""
    host = f"http://{settings.host}"
    pages = {one.name: f"{host}:{settings.console_port}{one.url_path}" for one in REPORTS if one.exists(settings)}
    addresses = {
        "Airflow": f"{host}:{settings.airflow_port}",
        "  login": f"{airflow_server.USER}, password in {airflow_server.passwords_file(settings)}",
        "Listening page": f"{host}:{settings.recommender_port}",
        "  API page": f"{host}:{settings.recommender_port}/docs",
        "MLflow": f"{host}:{settings.mlflow_port}",
        "Everything to read": f"{host}:{settings.console_port}",
        **{f"  {name}": url for name, url in pages.items()},
    }
    lines = [f"{name:<20} {address}" for name, address in addresses.items()]
    return "\n".join([*lines, "The services stay up; `make stop` ends them."])


def print_flushed(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)


def wait_for_dags(airflow: AirflowClient, timeout_s: float = 120) -> None:
    """Return when Airflow has parsed every DAG of the line.

    Raises:
        AirflowError: some are not there within `patience_s`.
    """
    deadline = time.monotonic() + timeout_s
    while missing := [dag_id for dag_id in PIPELINE_DAGS if not airflow.dag_exists(dag_id)]:
        if time.monotonic() > deadline:
            raise AirflowError(f"Airflow does not show {', '.join(missing)}; see the import errors at {airflow.url}")
        time.sleep(1)


def wait_for_recommender(settings: Settings, timeout_s: float = 120) -> None:
    """Return when the recommender serves a release.

    Raises:
        answer.AnswerError: it does not within `patience_s`.
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
    """Run the line in Airflow."""
    asked = parse_run_parameters(
        argparse.ArgumentParser(prog="python -m local.run", description="The whole line"), arguments
    )
    try:
        run(load_settings(), asked)
    except (
        SettingError,
        StepError,
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
        print("\nNot watched any more; the services and what they do go on. `make stop` ends them.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
