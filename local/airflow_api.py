"""Airflow's REST API, as far as the line needs it: trigger a run, find the runs it caused, read their tasks and logs.

Knows HTTP and JSON; decides nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import httpx

from config.settings import Settings
from local import airflow_server

MAX_ATTEMPTS, RETRY_DELAY_S = 5, 5.0
"""How often a question is put to an Airflow that does not answer, and how long we wait in between."""

AIRFLOW_ERROR_PREFIXES = ("Command exited with return code", "Task failed with exception")
"""What Airflow says of a failed task beside what the task says itself."""


class AirflowError(RuntimeError):
    """Airflow refused a request, and the message is its own; or it does not answer, and the message says what to do."""


class RunQueuedError(AirflowError):
    """The asked-for run waits for its turn behind another run of its DAG."""


@dataclass(frozen=True)
class DagRun:
    """One run of one DAG."""

    dag_id: str
    run_id: str
    state: str

    @property
    def is_finished(self) -> bool:
        """True when nothing more will happen in it."""
        return self.state in ("success", "failed")


@dataclass(frozen=True)
class TaskState:
    """One task of a run, mapped tasks each on their own; `name` as in the UI; `duration_s` None until its end.

    A mapped task has a number for a name until it has begun and said its own, then `is_named`.
    """

    task_id: str
    map_index: int
    name: str
    is_named: bool
    state: str | None
    try_number: int
    duration_s: float | None


class AirflowClient:
    """A logged-in client; use it as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self.url = f"http://{settings.host}:{settings.airflow_port}"
        self._log = settings.logs / "airflow.log"
        self._client = httpx.Client(base_url=self.url, timeout=60, transport=httpx.HTTPTransport(retries=3))
        self._login = {"username": airflow_server.USER, "password": airflow_server.load_or_create_password(settings)}

    def __enter__(self) -> AirflowClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.close()

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> DagRun:
        """Start a run with Params, as the UI's Trigger button does.

        Raises:
            AirflowError: a Param is not valid, or the DAG is not there.
        """
        return _parse_run(
            self._request_json("POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf})
        )

    def get_run(self, dag_id: str, run_id: str) -> DagRun:
        """The run as it is now."""
        return _parse_run(self._request_json("GET", f"/dags/{dag_id}/dagRuns/{run_id}"))

    def dag_exists(self, dag_id: str) -> bool:
        """True once the DAG's file has been parsed."""
        try:
            self._request_json("GET", f"/dags/{dag_id}")
        except AirflowError:
            return False
        return True

    def find_triggered_run(self, dag_id: str, cause: DagRun) -> DagRun | None:
        """The run of `dag_id` that an asset event of the run `cause` started; None as long as there is none.

        Raises:
            NotStartedError: there is one and it is still queued. Airflow 3.3 cannot say which: it answers 500 because
                a queued run has no start date.
        """
        caused = {"source_dag_id": cause.dag_id, "source_run_id": cause.run_id}
        answer = self._request_authorized("GET", "/assets/events", params=caused)
        if answer.is_server_error:
            raise RunQueuedError(f"the run of {dag_id} after {cause.run_id} waits for its turn")
        for event in self._parse_response(answer)["asset_events"]:
            for row in event["created_dagruns"]:
                if row["dag_id"] == dag_id:
                    return DagRun(dag_id, row["run_id"], row["state"])
        return None

    def list_tasks(self, run: DagRun) -> list[TaskState]:
        """Every task of a run."""
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
        """The last lines of a task's log, without what Airflow says there of its own work."""
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task.task_id}/logs/{task.try_number}"
        content = self._request_json("GET", path, params={"map_index": task.map_index, "full_content": True})["content"]
        said = [str(line["event"] if isinstance(line, dict) else line) for line in content]
        return filter_task_output(said)[-lines:]

    def task_url(self, run: DagRun, task: TaskState) -> str:
        """Where a person sees the task in the UI."""
        mapped = f"/mapped/{task.map_index}" if task.map_index >= 0 else ""
        return f"{self.url}/dags/{run.dag_id}/runs/{run.run_id}/tasks/{task.task_id}{mapped}"

    def _request_json(self, method: str, path: str, **arguments: Any) -> Any:
        return self._parse_response(self._request_authorized(method, path, **arguments))

    def _request_authorized(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        # What is ordered may have been heard even if nobody answered: only questions are put again
        tries = MAX_ATTEMPTS if method == "GET" else 1
        answer = self._request_with_retries(method, f"/api/v2{path}", tries, **arguments)
        if answer.status_code != httpx.codes.UNAUTHORIZED:
            return answer
        token = self._request_with_retries("POST", "/auth/token", MAX_ATTEMPTS, json=self._login)
        if token.is_error:
            raise AirflowError(f"Airflow at {self.url} does not accept our password: is it another installation's?")
        self._client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
        return self._request_with_retries(method, f"/api/v2{path}", tries, **arguments)

    def _request_with_retries(self, method: str, path: str, tries: int, **arguments: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **arguments)
        except httpx.TransportError as error:
            if tries == 1:
                raise AirflowError(
                    f"Airflow at {self.url} does not answer ({type(error).__name__}; its log: {self._log}); what runs there goes "
                    "on without this command: watch it there, or give the same command again, what is done stays done"
                ) from error
        time.sleep(RETRY_DELAY_S)
        return self._request_with_retries(method, path, tries - 1, **arguments)

    def _parse_response(self, answer: httpx.Response) -> Any:
        if answer.is_error:
            request = answer.request
            raise AirflowError(f"Airflow answers {answer.status_code} to {request.method} {request.url}: {answer.text}")
        return answer.json()


def filter_task_output(lines: list[str]) -> list[str]:
    """The lines of a log that are not Airflow's: no folded groups, nothing before a command's output, no ends that repeat it."""
    own, depth = list[str](), 0
    for line in lines:
        if line.startswith("::group::"):
            depth += 1
        elif line.startswith("::endgroup::"):
            depth -= 1
        elif line == "Output:":
            own.clear()
        elif depth == 0 and not line.startswith(AIRFLOW_ERROR_PREFIXES):
            own.append(line)
    return own


def _parse_run(row: dict[str, Any]) -> DagRun:
    return DagRun(row["dag_id"], row["dag_run_id"], row["state"])
