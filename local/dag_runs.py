"""Runs the DAGs of the pipeline in this process with Airflow's `dag.test()`, task by task, without a scheduler.

Airflow reads its variables and opens its log when it is imported, so `local/pipeline.py` imports this module after it has set
them.
"""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path
from typing import Any, TextIO

from airflow.dag_processing.dagbag import BundleDagBag
from airflow.listeners import hookimpl
from airflow.models.asset import AssetEvent
from airflow.sdk.listener import get_listener_manager
from airflow.settings import DAGS_FOLDER
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import select
from tqdm import tqdm

from dags.task_catalog import PIPELINE_DAGS, TASKS
from local.airflow_api import filter_task_output
from local.run_parameters import StepError

NOT_RUN = "compare_features|report_experiment"
"""Pattern of the tasks that compare what users were served, which nothing depends on; they count as successful."""


class TaskListener:
    """Prints a line for every task that Airflow starts and ends the run when one fails.

    Args:
        terminal: Receives the lines.
        log: File with the output of the tasks.
        total: Number of tasks; the instances of a mapped task count as one.
    """

    def __init__(self, terminal: TextIO, log: Path, total: int) -> None:
        self._terminal, self._log, self._total = terminal, log, total
        self._begun = self._started = time.monotonic()
        self._seen: set[tuple[str, str]] = set()
        self._name, self._offset = "", 0  # of the running task, and where its output begins in the log

    @hookimpl
    def on_task_instance_running(self, task_instance: Any) -> None:
        """Print the position, the name and the description of the task, without the end of the line."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # Airflow's would end the command and retry it
        self._seen.add((task_instance.dag_id, task_instance.task_id))
        self._started, self._offset = time.monotonic(), self._log.stat().st_size
        task = TASKS[task_instance.task_id.rpartition(".")[2]]
        self._name = f"{task.name} {task_instance.rendered_map_index or ''}".rstrip()
        position = f"{len(self._seen):>4} of {self._total}  {tqdm.format_interval(self._started - self._begun)}"
        print(f"{position}  {self._name:<36} {task.short} … ", end="", flush=True, file=self._terminal)

    @hookimpl
    def on_task_instance_success(self) -> None:
        """End the line of the task."""
        print(f"done ({time.monotonic() - self._started:.0f} s)", file=self._terminal)

    @hookimpl
    def on_task_instance_failed(self, task_instance: Any, error: BaseException) -> None:
        """End the line of the task, and the run unless Airflow will retry the task.

        Raises:
            StepError: The task is not retried.
            KeyboardInterrupt: The task was interrupted. Its command, which has its own process group, is ended.
        """
        if isinstance(error, KeyboardInterrupt):
            task_instance.task.on_kill()
            raise error
        is_retried = task_instance.state == "up_for_retry"
        state = "failed, will be retried" if is_retried else "FAILED"
        print(f"{state} ({time.monotonic() - self._started:.0f} s)", file=self._terminal)
        if not is_retried:
            output = self._log.read_bytes()[self._offset :].decode(errors="replace").splitlines()
            lines = [line for line in filter_task_output(output)[-25:] if line != str(error)] or [repr(error)]
            remedy = f"What to do: {TASKS[task_instance.task_id.rpartition('.')[2]].remedy} Then give the same command again."
            raise StepError("\n".join([f"{self._name} failed; {self._log} ends with:", *lines, remedy]))


def run_dags(conf: dict[str, Any], terminal: TextIO, log: Path) -> None:
    """Run the DAGs in order, each with the parameters in the asset event of the one before.

    Args:
        conf: Params of the first DAG.
        terminal: Receives a line for every DAG and every task.
        log: File with the output of the tasks.

    Raises:
        StepError: A task failed, so that the tasks after it were not started; or a DAG could not be read.
    """
    initdb()
    bag = BundleDagBag(DAGS_FOLDER, bundle_path=Path(DAGS_FOLDER), bundle_name="dags-folder")
    if bag.import_errors:
        raise StepError("\n".join(bag.import_errors.values()))
    tasks = [task_id for dag_id in PIPELINE_DAGS for task_id in bag.dags[dag_id].task_ids]
    total = sum(not re.fullmatch(NOT_RUN, task_id) for task_id in tasks)
    get_listener_manager().add_listener(TaskListener(terminal, log, total))
    for dag_id in PIPELINE_DAGS:
        known = [f"{name} {conf[name]}" for name in ("as_of", "recipe") if conf[name]]
        print(f"{dag_id}  {', '.join(known)}", file=terminal, flush=True)
        run = bag.dags[dag_id].test(run_conf=conf, mark_success_pattern=NOT_RUN)
        with create_session() as session:
            conf = session.scalars(select(AssetEvent.extra).where(AssetEvent.source_run_id == run.run_id)).one()
