"""Airflow on one machine: LocalExecutor on SQLite, one admin with a random password, everything below SEGUE_HOME.

`python -m local.wrappers.airflow_server` prepares Airflow's database and the admin's password (AIRFLOW_PASSWORD, or random).
"""

from __future__ import annotations

import json
import os
import secrets

from config.settings import ROOT, SettingError, Settings, load_settings
from local.environment import environment as tool_environment
from storage.file_lock import file_lock
from storage.files import atomic_write

USER = "segue"


def load_or_create_password(settings: Settings) -> str:
    """Password of the admin, created on the first call.

    Raises:
        SettingError: The file with the password is damaged.
    """
    path = settings.airflow_passwords
    with file_lock(settings.home / "run" / "airflow.password"):
        if not path.exists():
            password = os.environ.get("AIRFLOW_PASSWORD") or secrets.token_urlsafe(12)
            atomic_write(path, json.dumps({USER: password}), is_durable=True, mode=0o600)
    try:
        return str(json.loads(path.read_text())[USER])
    except (ValueError, LookupError, TypeError) as error:
        raise SettingError(
            f"{path} is damaged, so that the password of Airflow is unknown: delete it, then `make stop` and start again, "
            "which creates a password"
        ) from error


def environment(settings: Settings) -> dict[str, str]:
    """Airflow's own variables. Tasks inherit the server's environment, so the caller adds the variables of the tools."""
    url = settings.url(settings.airflow_port)
    cores = os.cpu_count() or 1
    return {
        "AIRFLOW_HOME": str(settings.airflow),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # LocalExecutor starts a worker process per slot
        "AIRFLOW__CORE__PARALLELISM": str(cores),
        "AIRFLOW__CORE__DEFAULT_TIMEZONE": "utc",
        # A restarted Airflow resumes runs of a killed scheduler after two minutes instead of five. With a shorter threshold a
        # scheduler that is delayed for half a minute on a busy machine would consider itself dead and end its own tasks
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "120",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
        # Changed files are parsed at once (by modification time), so unchanged ones are rarely parsed again
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
        # Maximum delay before a worker notices the end of its task and frees its slot
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        # A restarted scheduler may run long before the API server, to which its first tasks report
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "8",
        # A task's token is issued when the task is queued. LocalExecutor queues all runnable tasks, so the last ones wait for
        # every training before them, longer than the default of ten minutes (apache/airflow#53713)
        "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": "86400",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(settings.airflow_passwords),
        "AIRFLOW__API__HOST": settings.host,
        "AIRFLOW__API__PORT": str(settings.airflow_port),
        "AIRFLOW__API__BASE_URL": url,
        # Wrap log lines at the window's edge, so that reason and remedy are visible without scrolling
        "AIRFLOW__API__DEFAULT_WRAP": "True",
        # URL to which tasks report; the default has the default port
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        # Mapped trainings run in parallel, one per core: more threads than cores would only compete
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }


def main() -> None:
    """Create the password file, then replace this process with the migration of the database."""
    settings = load_settings()
    load_or_create_password(settings)
    variables = tool_environment(settings)
    os.execvpe("airflow", ["airflow", "db", "migrate"], variables)  # noqa: S606


if __name__ == "__main__":
    main()
