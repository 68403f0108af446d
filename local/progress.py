"""Progress of a pipeline run in Airflow: follows the triggered run and the runs that its assets trigger, task by task."""

from __future__ import annotations

import time
from collections.abc import Callable

from dags.task_catalog import PIPELINE_DAGS
from local.airflow_api import AirflowClient, DagRun, RunQueuedError, TaskState

STATE_LABELS = {
    "running": "running",
    "success": "done",
    "failed": "FAILED",
    "up_for_retry": "failed, will be retried",
    "up_for_reschedule": "waiting",
    "skipped": "skipped",
}


class PipelineError(RuntimeError):
    """The pipeline stopped; the message contains the task, the end of its log and its URL in the UI."""


def follow_pipeline(airflow: AirflowClient, first: DagRun, say: Callable[[str], None], timeout_s: float = 90) -> None:
    """Return when the run of the last DAG, triggered by `first` through the other DAGs, has succeeded.

    Args:
        airflow: Client of the Airflow server.
        first: Run of the first DAG.
        say: Receives lines of progress.
        timeout_s: Maximum time between the end of a run and the start of the next.

    Raises:
        PipelineError: A run failed, or its asset event did not start the next DAG in time.
    """
    run = first
    for number, dag_id in enumerate(PIPELINE_DAGS):
        if number:
            run = _wait_for_triggered_run(airflow, dag_id, run, say, timeout_s)
        say(f"{dag_id}  {airflow.url}/dags/{dag_id}/runs/{run.run_id}")
        run = _wait_until_finished(airflow, run, say)
        if run.state == "failed":
            raise PipelineError(_failure_reason(airflow, run))


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


def _wait_until_finished(airflow: AirflowClient, run: DagRun, say: Callable[[str], None]) -> DagRun:
    printed: dict[tuple[str, int], str | None] = {}
    while True:
        run = airflow.get_run(run.dag_id, run.run_id)  # before its tasks, so that the last list of tasks is complete
        for task in airflow.list_tasks(run):
            if task.state == "running" and not task.is_named:
                continue  # it has a name at the next poll
            key = (task.task_id, task.map_index)
            if task.state in STATE_LABELS and printed.get(key) != task.state:
                say(f"  {task.name:<44} {STATE_LABELS[task.state]}{_format_duration(task)}")
            printed[key] = task.state
        if run.is_finished:
            return run
        time.sleep(1)


def _format_duration(task: TaskState) -> str:
    is_finished = task.state in ("success", "failed")
    return f" ({task.duration_s:.0f} s)" if is_finished and task.duration_s is not None else ""


def _failure_reason(airflow: AirflowClient, run: DagRun) -> str:
    failed = [task for task in airflow.list_tasks(run) if task.state == "failed"]
    if not failed:
        return f"{run.dag_id} failed without a failed task; see {airflow.url}/dags/{run.dag_id}/runs/{run.run_id}"
    task = failed[0]
    log = "\n".join(f"    {line}" for line in airflow.read_log_tail(run, task))
    return f"{run.dag_id}: task {task.name} failed. Its log ends with:\n{log}\n  see {airflow.task_url(run, task)}"
