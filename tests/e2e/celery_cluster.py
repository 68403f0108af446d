"""Airflow as in `docker-compose.yml` but without containers: the same commands and environment, on real PostgreSQL and Redis.

The only differences from compose are the addresses of the servers, the ports, the home, and the timeout after which a silent
worker counts as dead.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis
import yaml

from config import settings
from local.airflow_api import AirflowClient, DagRun
from local.environment import environment
from local.ports import free_port
from tests.e2e.installation import wait_until
from tests.support import background, postgres, valkey

TaskName = tuple[str, str, int]
COMPOSE = yaml.safe_load((settings.ROOT / "docker-compose.yml").read_text())["services"]
SERVERS = ("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer")
DEAD_AFTER_S = 15


class Cluster:
    """Airflow's processes and its Celery workers; created by `running`."""

    def __init__(self, home: Path, uri: str, server: str, password: str, parallelism: int) -> None:
        self._home, self._programs, self._number = home, dict[str, background.BackgroundProcess](), 0
        self.settings = settings.Settings(home, "127.0.0.1", free_port(), free_port(), free_port(), free_port())
        url = f"http://127.0.0.1:{self.settings.airflow_port}"
        host, port = server.split(":")
        secret_values = {
            name: secrets.token_urlsafe(24) for name in re.findall(r"^([A-Z_]+)=$", _ENV_EXAMPLE, re.MULTILINE)
        }
        secret_values |= {"REDIS_PASSWORD": password, "AIRFLOW_FERNET_KEY": _fernet_key()}
        self._replacements = {
            "/var/segue": str(home),
            "/opt/segue": str(settings.ROOT),
            "http://airflow-api-server:8080": url,
            f"segue:{secret_values['POSTGRES_PASSWORD']}@postgres/airflow": uri.split("://")[1],
            "@redis:6379": f"@{host}:{port}",
            "redis:6379,": f"{host}:{port},",
            "0.0.0.0": "127.0.0.1",
        }
        self._secrets = secret_values
        self._overrides = {
            "AIRFLOW__CORE__PARALLELISM": str(parallelism),
            "AIRFLOW__API__PORT": str(self.settings.airflow_port),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(DEAD_AFTER_S),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        }

    def start(self) -> None:
        """Start everything except workers."""
        init = self._start("airflow-init")
        wait_until(lambda: not init.is_running(), "the migration of the database")
        for name in SERVERS:
            self._start(name)
        health = f"http://127.0.0.1:{self.settings.airflow_port}/api/v2/monitor/health"
        wait_until(lambda: _responds(health), "the API server")

    def start_worker(self) -> str:
        """Start a worker; return its name once it accepts tasks."""
        self._number += 1
        name = f"worker{self._number}"
        self._start("airflow-worker", name, "--celery-hostname", f"{name}@%h", "--skip-serve-logs")
        log = self._log(name)
        wait_until(lambda: log.exists() and " ready." in log.read_text(errors="replace"), f"{name} ready")
        return name

    def kill_worker(self, name: str) -> None:
        """Send SIGKILL to a worker and its child processes, including commands of tasks."""
        program = self._programs.pop(name)
        while members := program.members():
            for member in members:
                try:
                    member.send_signal(signal.SIGKILL)
                except psutil.Error:
                    continue
            with suppress(ChildProcessError):
                os.waitpid(program.pid, os.WNOHANG)
            time.sleep(0.02)

    def find_processes(self, *words: str) -> list[psutil.Process]:
        """Processes of workers whose command line contains all words."""
        processes = []
        for name, program in self._programs.items():
            if name.startswith("worker"):
                processes += [member for member in program.members() if _has(member, words)]
        return processes

    def started_tasks(self) -> Iterator[tuple[psutil.Process, str, TaskName]]:
        """Started tasks: the supervising process (suspended meanwhile), the id of the attempt, the task's name."""
        for supervisor in self.find_processes("airflow supervisor:"):
            try:
                attempt_id = supervisor.cmdline()[0].split()[-1]
                supervisor.suspend()
            except (psutil.Error, IndexError):
                continue
            if attempt_id in (running := self.running_tasks()):
                yield supervisor, attempt_id, running[attempt_id]
            with suppress(psutil.Error):
                supervisor.resume()

    def running_tasks(self) -> dict[str, TaskName]:
        """Attempt id → DAG, task id and map index of each task in state "running"."""
        return self._tasks("running")

    def done_tasks(self) -> set[TaskName]:
        """Succeeded tasks of all runs that were executed by a worker."""
        return set(self._tasks("success", has_worker=True).values())

    def _tasks(self, state: str, has_worker: bool = False) -> dict[str, TaskName]:
        with AirflowClient(self.settings) as airflow:
            query = {"state": state, "limit": 100}
            rows = airflow._request_json("GET", "/dags/~/dagRuns/~/taskInstances", params=query)["task_instances"]
        rows = [row for row in rows if row["hostname"] or not has_worker]
        return {row["id"]: (row["dag_id"], row["task_id"], row["map_index"]) for row in rows}

    def trigger(self, dag_id: str, **conf: Any) -> DagRun:
        """Trigger a DAG once Airflow has parsed it."""
        with AirflowClient(self.settings) as airflow:
            wait_until(lambda: airflow.dag_exists(dag_id), dag_id)
            return airflow.trigger(dag_id, conf)

    def tries(self, run: DagRun) -> dict[str, int]:
        """Task name → number of attempts."""
        with AirflowClient(self.settings) as airflow:
            return {task.name: task.try_number for task in airflow.list_tasks(run)}

    def state(self, run: DagRun) -> str:
        """State of a run."""
        with AirflowClient(self.settings) as airflow:
            return airflow.get_run(run.dag_id, run.run_id).state

    def stop(self) -> None:
        """Kill all processes."""
        for program in self._programs.values():
            for member in program.members():
                try:
                    member.kill()
                except psutil.Error:
                    continue
        for program in self._programs.values():
            program.stop()

    def _start(self, service: str, name: str = "", *more: str) -> background.BackgroundProcess:
        definition = COMPOSE[service]
        compose_variables = {key: self._substitute(value) for key, value in definition["environment"].items()}
        variables = {**environment(self.settings), **compose_variables, **self._overrides}
        # Like the entry point of the image, which derives variables from the settings
        command = [sys.executable, "-m", "local.environment", *definition["command"], *more]
        program = background.start(command, variables, settings.ROOT, self._log(name or service))
        self._programs[name or service] = program
        return program

    def _log(self, name: str) -> Path:
        return self._home / "logs" / f"{name}.log"

    def _substitute(self, value: str) -> str:
        text = re.sub(r"\$\{([A-Z_]+)(?::-([^}]*)|[^}]*)\}", lambda match: self._secrets.get(match[1], match[2]), value)
        for old, new in self._replacements.items():
            text = text.replace(old, new)
        return text


@contextmanager
def running(home: Path, parallelism: int = 2) -> Iterator[Cluster]:
    """A cluster without workers that runs at most `parallelism` tasks at the same time."""
    password = secrets.token_urlsafe(12)
    with valkey.running() as server, postgres.running(home.parent / "postgres") as uri:
        # Set after the start, because the start checks the server without a password
        redis.Redis(host=server.host, port=server.port).config_set("requirepass", password)
        cluster = Cluster(home, uri, f"{server.host}:{server.port}", password, parallelism)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


_ENV_EXAMPLE = (settings.ROOT / ".env.example").read_text()


def _fernet_key() -> str:
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()


def _responds(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False


def _has(process: psutil.Process, words: Sequence[str]) -> bool:
    try:
        line = " ".join(process.cmdline())
    except psutil.Error:
        return False
    return all(word in line for word in words)
