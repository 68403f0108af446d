"""Newest runs of the DAGs with their failed tasks, read from Airflow's REST API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from config.settings import Settings

TIMEOUT_S = 5.0
SHOWN_RUNS = 30
MAX_FAILED_TASKS = 100
TRIGGERS = {"manual": "by hand", "scheduled": "by schedule", "asset_triggered": "by an asset", "backfill": "backfill"}


class AirflowUnavailableError(RuntimeError):
    """Airflow does not answer; the message names its address and the remedy."""


@dataclass(frozen=True)
class FailedTask:
    """A failed task of a run, with the address of its log in Airflow."""

    name: str
    url: str


@dataclass(frozen=True)
class DagRun:
    """One run of a DAG. Times are ISO 8601, UTC; "" before the run starts."""

    dag: str
    state: str
    trigger: str
    started_at: str
    duration_s: float | None  # None until the run has ended
    url: str
    failed: list[FailedTask] = field(default_factory=list)

    @property
    def duration(self) -> str:
        """Duration as text, such as "3 min 20 s"."""
        if self.duration_s is None:
            return ""
        minutes, seconds = divmod(round(self.duration_s), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def read_dag_runs(settings: Settings, public_url: str, client: httpx.Client | None = None) -> list[DagRun]:
    """The newest runs of all DAGs, newest first.

    Args:
        settings: Address of Airflow, and the file with its password.
        public_url: Address of Airflow for the browser, for links.
        client: HTTP client whose base URL is Airflow; default: one for the address in the settings.

    Raises:
        AirflowUnavailableError: Airflow does not run, or does not accept the password.
    """
    address = settings.service_url("airflow")
    try:
        with client or httpx.Client(base_url=address, timeout=TIMEOUT_S) as airflow:
            passwords = json.loads(settings.airflow_passwords.read_text(encoding="utf-8"))
            user, password = next(iter(passwords.items()))
            login = airflow.post("/auth/token", json={"username": user, "password": password}).raise_for_status()
            headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
            runs = airflow.get(
                "/api/v2/dags/~/dagRuns", params={"limit": SHOWN_RUNS, "order_by": "-run_after"}, headers=headers
            ).raise_for_status()
            tasks = airflow.get(
                "/api/v2/dags/~/dagRuns/~/taskInstances",
                params={"state": "failed", "limit": MAX_FAILED_TASKS, "order_by": "-start_date"},
                headers=headers,
            ).raise_for_status()
    except (OSError, httpx.HTTPError, ValueError, KeyError, StopIteration) as error:
        raise AirflowUnavailableError(
            f"Airflow at {address} does not answer ({type(error).__name__}); start it with: make serve"
        ) from error
    return parse_runs(runs.json()["dag_runs"], tasks.json()["task_instances"], public_url)


def parse_runs(runs: list[Mapping[str, Any]], failed_tasks: list[Mapping[str, Any]], public_url: str) -> list[DagRun]:
    """Runs of the API's answers, each with its failed tasks."""
    failed: dict[tuple[str, str], list[FailedTask]] = {}
    for task in failed_tasks:
        run_url = f"{public_url}/dags/{task['dag_id']}/runs/{task['dag_run_id']}"
        mapped = f"/mapped/{task['map_index']}" if task["map_index"] >= 0 else ""
        name = f"{task['task_id']} {task['rendered_map_index'] or ''}".strip()
        failed.setdefault((task["dag_id"], task["dag_run_id"]), []).append(
            FailedTask(name, f"{run_url}/tasks/{task['task_id']}{mapped}")
        )
    return [
        DagRun(
            dag=run["dag_id"],
            state=run["state"],
            trigger=TRIGGERS.get(run["run_type"], run["run_type"]),
            started_at=run["start_date"] or "",
            duration_s=_seconds(run["start_date"], run["end_date"]),
            url=f"{public_url}/dags/{run['dag_id']}/runs/{run['dag_run_id']}",
            failed=failed.get((run["dag_id"], run["dag_run_id"]), []),
        )
        for run in runs
    ]


def _seconds(start: str | None, end: str | None) -> float | None:
    if not start or not end:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
