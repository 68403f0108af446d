"""Client of Airflow's REST API: triggers the pipeline, and follows its runs task by task."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Self

import httpx

from config.settings import Settings
from dags.task_catalog import PIPELINE_DAGS
from local.wrappers import airflow_server

TIMEOUT_S = 300
"""Time for a response, which takes minutes while trainings occupy the processor."""
POLL_INTERVAL_S = 1.5
"""Seconds between requests for the state of a run, which cost Airflow's API server processor time."""
SILENCE_S = 90
"""Time without the run of the next DAG after which a line says why."""
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
AIRFLOW_ERROR_PREFIXES = ("Command exited with return code", "Task failed with exception")
"""Beginnings of the lines that Airflow adds to the log of a failed task."""


class AirflowError(RuntimeError):
    """Airflow rejected a request (the message is Airflow's) or does not respond (the message states the remedy)."""


class PipelineError(RuntimeError):
    """The pipeline stopped; the message contains the task, the end of its log and its URL in the UI."""


class AirflowClient(httpx.Client):
    """HTTP client that has logged in as the admin.

    Raises:
        AirflowError: Airflow does not respond, or another password is valid.
    """

    def __init__(self, settings: Settings) -> None:
        self.url = settings.url(settings.airflow_port)
        self._log = settings.logs / "airflow.log"
        super().__init__(base_url=self.url, timeout=TIMEOUT_S, transport=httpx.HTTPTransport(retries=5))
        login = {"username": airflow_server.USER, "password": airflow_server.load_or_create_password(settings)}
        self.headers["Authorization"] = f"Bearer {self.call('POST', '/auth/token', json=login)['access_token']}"

    def __enter__(self) -> Self:
        """Itself: the login has opened it, and httpx opens a client only once."""
        return self

    def request(self, *arguments: Any, **options: Any) -> httpx.Response:
        """See `httpx.Client.request`.

        Raises:
            AirflowError: There is no response.
        """
        try:
            return super().request(*arguments, **options)
        except httpx.TransportError as error:
            raise AirflowError(
                f"Airflow at {self.url} does not respond ({type(error).__name__}; its log: {self._log}); its runs "
                "continue without this command: follow it there, or give the same command again, finished work is not repeated"
            ) from error

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """JSON of the response.

        Raises:
            AirflowError: The response is an error, or there is none.
        """
        return _content(self.request(method, path, **arguments))

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Start a run with Params, like the Trigger button of the UI; returns its id.

        Raises:
            AirflowError: A Param is not valid, or the DAG does not exist.
        """
        run = self.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf})
        return str(run["dag_run_id"])

    def state(self, dag_id: str, run_id: str) -> str:
        """State of a run: "queued", "running", "success" or "failed"."""
        return str(self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """All tasks of a run, as Airflow describes them; each mapped instance is one."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        return list(self.call("GET", path, params={"limit": 100})["task_instances"])

    def find_triggered_run(self, dag_id: str, cause_id: str, cause_run_id: str) -> str | None:
        """Id of the run of `dag_id` that an asset event of another run started; None if there is none yet, or it is queued.

        Raises:
            AirflowError: The response is another error, or there is none.
        """
        source = {"source_dag_id": cause_id, "source_run_id": cause_run_id}
        response = self.get("/api/v2/assets/events", params=source)
        if response.status_code == 500:  # of Airflow 3.3 while the run is queued, because it has no start date
            return None
        runs = [run for event in _content(response)["asset_events"] for run in event["created_dagruns"]]
        return next((str(run["run_id"]) for run in runs if run["dag_id"] == dag_id), None)

    def read_log(self, task: dict[str, Any]) -> list[str]:
        """Lines of the log of a task's last try, without the messages of Airflow itself."""
        run = f"/api/v2/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}"
        path = f"{run}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
        content = self.call("GET", path, params={"map_index": task["map_index"], "full_content": True})["content"]
        return filter_task_output([str(line["event"] if isinstance(line, dict) else line) for line in content])


def _content(response: httpx.Response) -> Any:
    """JSON of a response."""
    if response.is_error:
        status = f"Airflow returned {response.status_code} to {response.request.method} {response.url}"
        raise AirflowError(f"{status}: {response.text}")
    return response.json()


def wait_for_dags(airflow: AirflowClient, timeout_s: float = 120) -> None:
    """Return when Airflow has parsed every DAG of the pipeline.

    Raises:
        AirflowError: Some DAGs are missing after `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while missing := [one for one in PIPELINE_DAGS if airflow.get(f"/api/v2/dags/{one}").is_error]:
        if time.monotonic() > deadline:
            raise AirflowError(f"Airflow does not show {', '.join(missing)}; see the import errors at {airflow.url}")
        time.sleep(1)


def follow_pipeline(airflow: AirflowClient, first: str, say: Callable[[str], None]) -> None:
    """Return when the run of the last DAG, triggered by the run `first` through the other DAGs, has succeeded.

    Args:
        airflow: Client of the Airflow server.
        first: Id of the run of the first DAG.
        say: Receives lines of progress.

    Raises:
        PipelineError: A run failed.
    """
    run_id = first
    for number, dag_id in enumerate(PIPELINE_DAGS):
        if number:
            run_id = _wait_for_run(airflow, dag_id, PIPELINE_DAGS[number - 1], run_id, say)
        say(f"{dag_id}  {airflow.url}/dags/{dag_id}/runs/{run_id}")
        _follow_run(airflow, dag_id, run_id, say)


def _wait_for_run(
    airflow: AirflowClient, dag_id: str, cause_id: str, cause_run_id: str, say: Callable[[str], None]
) -> str:
    told_at = time.monotonic() + SILENCE_S
    while (run_id := airflow.find_triggered_run(dag_id, cause_id, cause_run_id)) is None:
        if time.monotonic() > told_at:
            say(f"{dag_id}  waits for an earlier run, or is paused; see {airflow.url}/dags/{dag_id}")
            told_at = float("inf")
        time.sleep(POLL_INTERVAL_S)
    return run_id


def _follow_run(airflow: AirflowClient, dag_id: str, run_id: str, say: Callable[[str], None]) -> None:
    """Say which tasks have started and ended, with the number of finished ones; a mapped task counts as one."""
    printed, state = dict[str, str](), ""
    while state not in ("success", "failed"):
        time.sleep(POLL_INTERVAL_S if state else 0)
        state = airflow.state(dag_id, run_id)  # before its tasks, so that the last list of tasks is complete
        tasks = airflow.tasks(dag_id, run_id)
        names = {task["task_id"] for task in tasks}
        finished = len(names - {task["task_id"] for task in tasks if task["state"] not in ENDED})
        for task in tasks:
            # A mapped task has its index until it has started and rendered its name: at the next poll.
            is_named = task["state"] != "running" or task["rendered_map_index"] != str(task["map_index"])
            if is_named and task["state"] in STATE_LABELS and printed.get(task["id"]) != task["state"]:
                duration = f" ({task['duration']:.0f} s)" if task["state"] in ENDED and task["duration"] else ""
                say(f"{finished:>4} of {len(names)}  {_name(task):<44} {STATE_LABELS[task['state']]}{duration}")
                printed[task["id"]] = task["state"]
    if state == "failed":
        raise PipelineError(_failure_reason(airflow, tasks))


def _name(task: dict[str, Any]) -> str:
    """Name of a task as the UI shows it."""
    return f"{task['task_id']} {task['rendered_map_index'] or ''}".rstrip()


def _failure_reason(airflow: AirflowClient, tasks: list[dict[str, Any]]) -> str:
    """The failed task, the end of its log and its page."""
    failed = [task for task in tasks if task["state"] == "failed"]
    page = f"{airflow.url}/dags/{tasks[0]['dag_id']}/runs/{tasks[0]['dag_run_id']}"
    if not failed:
        return f"a run was marked as failed; see {page}"
    task = failed[0]
    log = "\n".join(f"    {line}" for line in airflow.read_log(task)[-25:])
    mapped = f"/mapped/{task['map_index']}" if task["map_index"] >= 0 else ""
    return f"{task['dag_id']}: task {_name(task)} failed. Its log ends with:\n{log}\n  see {page}/tasks/{task['task_id']}{mapped}"


def filter_task_output(lines: list[str]) -> list[str]:
    """Log lines of the task itself: without folded groups, lines before a command's output, and Airflow's error lines."""
    output, depth = list[str](), 0
    for line in lines:
        if line.startswith("::group::"):
            depth += 1
        elif line.startswith("::endgroup::"):
            depth -= 1
        elif line == "Output:":
            output.clear()
        elif depth == 0 and not line.startswith(AIRFLOW_ERROR_PREFIXES):
            output.append(line)
    return output
