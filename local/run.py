"""`python -m local.run`: services up, the line triggered through Airflow's REST API and watched, one answer printed.

What `make run` does. A second time it reuses the services that run and what the line has made.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from local import airflow_server, answer, services
from local.airflow_api import Airflow, AirflowError
from local.environment import environment
from local.follow import LINE, LineError, follow
from local.pipeline import Asked, StepError, asked_on, check_channels
from local.ports import PortTakenError
from local.reports import REPORTS
from local.room import NoRoomError
from settings import SettingError, Settings, load


def run(settings: Settings, asked: Asked) -> None:
    """Run the line and print where everything is.

    Raises:
        StepError: a channel is asked for that there is not.
        PortTakenError, NoRoomError, services.ServiceError: a service could not be started.
        AirflowError, LineError: the line could not be triggered, or stopped.
        answer.AnswerError: the recommender has no answer.
    """
    say(f"Segue in {settings.home}")
    check_channels(asked, environment(settings))
    services.start(settings, say)
    say(f"Logs: {asked.logs or 'none given, so what is landed already, or else a simulated listening world'}")
    with Airflow(settings) as airflow:
        wait_for_dags(airflow)
        follow(airflow, airflow.trigger(LINE[0], params(asked)), say)
    wait_for_recommender(settings)
    user_id = answer.somebody(settings)
    say(f"\n{answer.readable(user_id, answer.recommend(settings, user_id))}\n")
    say(where(settings))


def params(asked: Asked) -> dict[str, Any]:
    """The run's Params, as the trigger form of the UI would send them."""
    return {"as_of": asked.as_of, "recipe": asked.recipe, "channels": list(asked.channels) or None, "logs": asked.logs}


def where(settings: Settings) -> str:
    """The addresses, for a person to click."""
    host = f"http://{settings.host}"
    pages = {one.name: f"{host}:{settings.pages_port}{one.address}" for one in REPORTS if one.is_made(settings)}
    addresses = {
        "Airflow": f"{host}:{settings.airflow_port}",
        "  login": f"{airflow_server.USER}, password in {airflow_server.passwords_file(settings)}",
        "Listening page": f"{host}:{settings.recommender_port}",
        "  API page": f"{host}:{settings.recommender_port}/docs",
        "MLflow": f"{host}:{settings.mlflow_port}",
        "Everything to read": f"{host}:{settings.pages_port}",
        **{f"  {name}": url for name, url in pages.items()},
    }
    lines = [f"{name:<20} {address}" for name, address in addresses.items()]
    return "\n".join([*lines, "The services stay up; `make stop` ends them."])


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)


def wait_for_dags(airflow: Airflow, patience_s: float = 120) -> None:
    """Return when Airflow has parsed every DAG of the line.

    Raises:
        AirflowError: some are not there within `patience_s`.
    """
    deadline = time.monotonic() + patience_s
    while missing := [dag_id for dag_id in LINE if not airflow.dag_exists(dag_id)]:
        if time.monotonic() > deadline:
            raise AirflowError(f"Airflow does not show {', '.join(missing)}; see the import errors at {airflow.url}")
        time.sleep(1)


def wait_for_recommender(settings: Settings, patience_s: float = 120) -> None:
    """Return when the recommender serves a release.

    Raises:
        answer.AnswerError: it does not within `patience_s`.
    """
    recommender = next(service for service in services.SERVICES if service.name == "recommender")
    deadline = time.monotonic() + patience_s
    while not recommender.is_ready(settings):
        if time.monotonic() > deadline:
            raise answer.AnswerError(f"the recommender has not loaded a release; see {recommender.log(settings)}")
        time.sleep(0.5)


def main(arguments: list[str] | None = None) -> int:
    """Run the line in Airflow."""
    asked = asked_on(argparse.ArgumentParser(prog="python -m local.run", description="The whole line"), arguments)
    try:
        run(load(), asked)
    except (
        SettingError,
        StepError,
        PortTakenError,
        NoRoomError,
        services.ServiceError,
        AirflowError,
        LineError,
        answer.AnswerError,
    ) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nNot watched any more; the services and what they do go on. `make stop` ends them.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
