"""An installation of its own for tests that break things: a home, free ports, its services and what runs in them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from config import settings
from local import process, services
from local.airflow_api import AirflowClient, DagRun
from local.pipeline import RunParameters
from local.ports import free_port
from local.progress import PIPELINE_DAGS, follow_pipeline
from local.run import build_dag_conf, wait_for_dags

PATIENCE_S = 900


class Installation:
    """Segue in `home`, on ports that were free when it was made."""

    def __init__(self, home: Path) -> None:
        self.settings = settings.Settings(home, "127.0.0.1", *(free_port() for _ in range(4)))

    def start(self) -> None:
        """Starts what does not run, as `make run` does."""
        services.start(self.settings)
        with AirflowClient(self.settings) as airflow:
            wait_for_dags(airflow)

    def stop(self) -> None:
        """What `make stop` does."""
        services.stop(self.settings)

    def trigger(self, **asked: Any) -> DagRun:
        """A new run of the line."""
        with AirflowClient(self.settings) as airflow:
            return airflow.trigger(PIPELINE_DAGS[0], build_dag_conf(RunParameters(recipe="debug", **asked)))

    def follow(self, first: DagRun) -> str:
        """Waits until the line that `first` began is green; what was seen of it.

        Raises:
            LineError: it stopped.
        """
        seen: list[str] = []
        with AirflowClient(self.settings) as airflow:
            follow_pipeline(airflow, first, seen.append)
        return "\n".join(seen)

    def retries(self) -> set[Path]:
        """Logs of second tries, `dag_id=…/run_id=…/task_id=…/…`."""
        logs = self.settings.airflow / "logs"
        return {log.relative_to(logs) for log in logs.glob("dag_id=*/**/attempt=2.log")}

    def airflow(self) -> process.BackgroundProcess:
        """The program that is Airflow."""
        program = process.load(self.settings.home / "run" / "airflow.json")
        assert program is not None
        return program

    def kill_airflow(self) -> None:
        """SIGKILL to Airflow's process group: all of Airflow, none of its tasks' commands."""
        os.killpg(self.airflow().pid, signal.SIGKILL)

    def working(self, *words: str) -> list[psutil.Process]:
        """Airflow's processes whose command line has all the words, the oldest first."""
        found = []
        for member in self.airflow().members():
            try:
                line = " ".join(member.cmdline())
            except psutil.Error:
                continue
            if all(word in line for word in words):
                found.append(member)
        return sorted(found, key=lambda member: member.create_time())

    def wait_for(self, *words: str, seconds: float = 0) -> psutil.Process:
        """The command with these words, once it has used the processor for so long."""

        def found() -> psutil.Process | None:
            some = [one for one in self.working(*words) if _cpu_seconds(one) >= seconds]
            return some[0] if some else None

        return wait_until(found, " ".join(words))


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` says once it says something.

    Raises:
        AssertionError: that took too long.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never saw {what}"
        time.sleep(0.05)
    return found


def _cpu_seconds(one: psutil.Process) -> float:
    try:
        return float(one.cpu_times().user)
    except psutil.Error:
        return 0.0
