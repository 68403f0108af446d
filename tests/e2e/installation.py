"""Separate installation for destructive tests: home, free ports, services and their processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil

from config import settings
from dags.task_catalog import PIPELINE_DAGS
from local import process, services
from local.airflow_api import AirflowClient, follow_pipeline, wait_for_dags
from local.run_parameters import RunParameters, build_dag_conf
from tests.support.ports import free_port
from tests.support.waiting import wait_until

TIMEOUT_S = 900


class Installation:
    """Segue in `home`, on free ports."""

    def __init__(self, home: Path) -> None:
        self.settings = settings.Settings(
            home=home,
            airflow_port=free_port(),
            recommender_port=free_port(),
            mlflow_port=free_port(),
            console_port=free_port(),
        )

    def start(self) -> None:
        """Start the services unless they run, like `make run`."""
        services.start(self.settings)
        with AirflowClient(self.settings) as airflow:
            wait_for_dags(airflow)

    def stop(self) -> None:
        """Stop the services, like `make stop`."""
        services.stop(self.settings)

    def trigger(self, **parameters: Any) -> str:
        """Trigger a run of the pipeline with recipe debug; returns its id."""
        with AirflowClient(self.settings) as airflow:
            return airflow.trigger(PIPELINE_DAGS[0], build_dag_conf(RunParameters(recipe="debug", **parameters)))

    def follow(self, first: str) -> str:
        """Wait until the pipeline that `first` started has succeeded; return the lines of progress.

        Raises:
            PipelineError: It stopped.
        """
        lines: list[str] = []
        with AirflowClient(self.settings) as airflow:
            follow_pipeline(airflow, first, lines.append)
        return "\n".join(lines)

    def airflow(self) -> list[psutil.Process]:
        """Processes of the Airflow service, the oldest first."""
        return sorted(process.members(str(self.settings.home), "airflow"), key=lambda member: member.create_time())

    def kill_airflow(self) -> None:
        """Send SIGKILL to Airflow's process group, which does not contain the commands of its tasks."""
        os.killpg(self.airflow()[0].pid, signal.SIGKILL)

    def find_processes(self, *words: str) -> list[psutil.Process]:
        """Airflow's processes whose command line contains all words, oldest first."""
        processes = []
        for member in self.airflow():
            try:
                line = " ".join(member.cmdline())
            except psutil.Error:
                continue
            if all(word in line for word in words):
                processes.append(member)
        return processes

    def wait_for(self, *words: str, seconds: float = 0) -> psutil.Process:
        """Wait for a process whose command line contains all words and that has used `seconds` of CPU time."""

        def find() -> psutil.Process | None:
            return next((process for process in self.find_processes(*words) if _cpu_seconds(process) >= seconds), None)

        return wait_until(find, " ".join(words), TIMEOUT_S)


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        return float(process.cpu_times().user)
    except psutil.Error:
        return 0.0
