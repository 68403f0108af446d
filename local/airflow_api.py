"""Client of Airflow's REST API: trigger a run, find the runs that it triggered, read their tasks and logs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import httpx

from config.settings import Settings
from local import airflow_server

MAX_ATTEMPTS, RETRY_DELAY_S = 5, 5.0  # of GET requests to an Airflow that does not respond
AIRFLOW_ERROR_PREFIXES = ("Command exited with return code", "Task failed with exception")
"""Beginnings of the lines that Airflow adds to the log of a failed task."""


class AirflowError(RuntimeError):
    """Airflow rejected a request (the message is Airflow's) or does not respond (the message states the remedy)."""


class RunQueuedError(AirflowError):
    """The triggered run is queued behind another run of its DAG."""


@dataclass(frozen=True)
class DagRun:
    """One run of one DAG."""

    dag_id: str
    run_id: str
    state: str

    @property
    def is_finished(self) -> bool:
        """True if the run has succeeded or failed."""
        return self.state in ("success", "failed")


@dataclass(frozen=True)
class TaskState:
    """State of one task of a run; each mapped instance counts as a task."""

    task_id: str
    map_index: int  # -1 if the task is not mapped
    name: str  # as shown in the UI; a mapped task has its index until it has started and rendered its name
    is_named: bool  # False while `name` is an index
    state: str | None
    try_number: int
    duration_s: float | None  # None until the task has ended


class AirflowClient:
    """HTTP client that logs in when needed; use it as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.url(settings.airflow_port)
        self._log = settings.logs / "airflow.log"
        self._client = httpx.Client(base_url=self.url, timeout=60, transport=httpx.HTTPTransport(retries=3))
        self._login = {"username": airflow_server.USER, "password": airflow_server.load_or_create_password(settings)}

    def __enter__(self) -> AirflowClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.close()

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> DagRun:
        """Start a run with Params, like the Trigger button of the UI.

        Raises:
            AirflowError: A Param is not valid, or the DAG does not exist.
        """
        return _parse_run(
            self._request_json("POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf})
        )

    def get_run(self, dag_id: str, run_id: str) -> DagRun:
        """Current state of a run."""
        return _parse_run(self._request_json("GET", f"/dags/{dag_id}/dagRuns/{run_id}"))

    def dag_exists(self, dag_id: str) -> bool:
        """True once Airflow has parsed the DAG's file."""
        try:
            self._request_json("GET", f"/dags/{dag_id}")
        except AirflowError:
            return False
        return True

    def find_triggered_run(self, dag_id: str, cause: DagRun) -> DagRun | None:
        """Run of `dag_id` that an asset event of the run `cause` started; None if there is none yet.

        Raises:
            RunQueuedError: The run is still queued. Airflow 3.3 responds with 500 in this case, because a queued run has no
                start date.
            AirflowError: Airflow failed otherwise.
        """
        source = {"source_dag_id": cause.dag_id, "source_run_id": cause.run_id}
        response = self._request_authorized("GET", "/assets/events", params=source)
        if response.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
            if self._request_json("GET", f"/dags/{dag_id}/dagRuns", params={"state": "queued"})["dag_runs"]:
                raise RunQueuedError(f"the run of {dag_id} after {cause.run_id} is queued")
            return None  # the run has left the queue meanwhile, or Airflow failed for another reason
        for event in self._parse_response(response)["asset_events"]:
            for row in event["created_dagruns"]:
                if row["dag_id"] == dag_id:
                    return DagRun(dag_id, row["run_id"], row["state"])
        return None

    def list_tasks(self, run: DagRun) -> list[TaskState]:
        """All tasks of a run."""
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances"
        return [
            TaskState(
                task_id=row["task_id"],
                map_index=row["map_index"],
                name=f"{row['task_id']} {row['rendered_map_index'] or ''}".strip(),
                is_named=row["rendered_map_index"] != str(row["map_index"]),
                state=row["state"],
                try_number=row["try_number"],
                duration_s=row["duration"],
            )
            for row in self._request_json("GET", path, params={"limit": 100})["task_instances"]
        ]

    def read_log_tail(self, run: DagRun, task: TaskState, lines: int = 25) -> list[str]:
        """Last lines of a task's log, without the messages of Airflow itself."""
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task.task_id}/logs/{task.try_number}"
        content = self._request_json("GET", path, params={"map_index": task.map_index, "full_content": True})["content"]
        messages = [str(line["event"] if isinstance(line, dict) else line) for line in content]
        return filter_task_output(messages)[-lines:]

    def task_url(self, run: DagRun, task: TaskState) -> str:
        """URL of the task in the UI."""
        mapped = f"/mapped/{task.map_index}" if task.map_index >= 0 else ""
        return f"{self.url}/dags/{run.dag_id}/runs/{run.run_id}/tasks/{task.task_id}{mapped}"

    def _request_json(self, method: str, path: str, **arguments: Any) -> Any:
        return self._parse_response(self._request_authorized(method, path, **arguments))

    def _request_authorized(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        # Only GET is idempotent: a request that timed out may have been processed
        attempts = MAX_ATTEMPTS if method == "GET" else 1
        response = self._request_with_retries(method, f"/api/v2{path}", attempts, **arguments)
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return response
        token = self._request_with_retries("POST", "/auth/token", MAX_ATTEMPTS, json=self._login)
        if token.is_error:
            raise AirflowError(
                f"Airflow at {self.url} rejects the password in SEGUE_HOME/airflow/passwords.json; it probably belongs to another "
                "SEGUE_HOME: stop it there with `make stop`, or choose another port with SEGUE_AIRFLOW_PORT"
            )
        self._client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
        return self._request_with_retries(method, f"/api/v2{path}", attempts, **arguments)

    def _request_with_retries(self, method: str, path: str, attempts: int, **arguments: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **arguments)
        except httpx.TransportError as error:
            if attempts == 1:
                raise AirflowError(
                    f"Airflow at {self.url} does not respond ({type(error).__name__}; its log: {self._log}); its runs "
                    "continue without this command: follow it there, or give the same command again, finished work is not repeated"
                ) from error
        time.sleep(RETRY_DELAY_S)
        return self._request_with_retries(method, path, attempts - 1, **arguments)

    def _parse_response(self, response: httpx.Response) -> Any:
        if response.is_error:
            request = response.request
            raise AirflowError(
                f"Airflow returned {response.status_code} to {request.method} {request.url}: {response.text}"
            )
        return response.json()


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


def _parse_run(row: dict[str, Any]) -> DagRun:
    return DagRun(row["dag_id"], row["dag_run_id"], row["state"])
