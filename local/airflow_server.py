"""Airflow on one machine: LocalExecutor on SQLite, one admin with a random password, all of it below SEGUE_HOME.

`python -m local.airflow_server` prepares Airflow's database and the admin's password (AIRFLOW_PASSWORD, or random).
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from config.settings import ROOT, Settings, load_settings
from local.environment import environment as environment_of_tools
from local.ports import free_port

USER = "segue"


def passwords_file(settings: Settings) -> Path:
    """Where the simple auth manager reads users' passwords, and where a person finds theirs."""
    return settings.airflow / "passwords.json"


def load_or_create_password(settings: Settings) -> str:
    """The admin's password, made at the first call and kept in a file that only its owner reads."""
    path = passwords_file(settings)
    if not path.exists():
        settings.airflow.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({USER: os.environ.get("AIRFLOW_PASSWORD") or secrets.token_urlsafe(12)}, file)
    return str(json.loads(path.read_text())[USER])


def environment(settings: Settings) -> dict[str, str]:
    """Airflow's own variables. Tasks inherit its environment, so what they need is set by the caller."""
    url = f"http://{settings.host}:{settings.airflow_port}"
    cores = os.cpu_count() or 1
    return {
        "AIRFLOW_HOME": str(settings.airflow),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # LocalExecutor starts a worker process for each slot
        "AIRFLOW__CORE__PARALLELISM": str(cores),
        "AIRFLOW__CORE__DEFAULT_TIMEZONE": "utc",
        # A restarted Airflow takes up what a killed one left as "running" after two minutes, not five. Sooner, and a
        # scheduler that a busy machine held up for half a minute would take itself for dead and end its own tasks
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "120",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
        # So long a worker may wait before it sees that its task has ended, and its slot is taken for so long
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        # A scheduler that starts again may be up long before the API server, to which its first tasks report
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "8",
        # A task gets its leave to report when it is queued, and LocalExecutor queues all that could run: the last ones wait
        # for every training before them, and a leave of ten minutes is over by then (apache/airflow#53713)
        "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": "86400",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords_file(settings)),
        "AIRFLOW__API__HOST": settings.host,
        "AIRFLOW__API__PORT": str(settings.airflow_port),
        "AIRFLOW__API__BASE_URL": url,
        # A log's lines are broken where the window ends: what is wrong and what to do is not to be scrolled for
        "AIRFLOW__API__DEFAULT_WRAP": "True",
        # Tasks report here; without it they go on asking for the default port
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port(settings.host)),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port(settings.host)),
        # Two mapped trainings run beside each other, one on each core: more threads than cores only wait for each other
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }


def main() -> None:
    """Write the password file, then become the command that brings the database up to date."""
    settings = load_settings()
    load_or_create_password(settings)
    variables = environment_of_tools(settings)
    os.execvpe("airflow", ["airflow", "db", "migrate"], variables)  # noqa: S606


if __name__ == "__main__":
    main()
