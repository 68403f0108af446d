"""Airflow as `docker-compose.yml` has it, without containers: its commands and environment, on real PostgreSQL and Redis.

What differs from compose is written here and nowhere else: where the servers are, the ports, the home, and how soon a
worker that says nothing is taken for dead.
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
from local import process
from local.airflow_api import AirflowClient, DagRun
from local.environment import environment
from local.ports import free_port
from tests.e2e.installation import wait_until
from tests.support import postgres, valkey

TaskName = tuple[str, str, int]
COMPOSE = yaml.safe_load((settings.ROOT / "docker-compose.yml").read_text())["services"]
SERVERS = ("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer")
DEAD_AFTER_S = 15


class Cluster:
    """Airflow's processes and its Celery workers; use `running`."""

    def __init__(self, home: Path, uri: str, server: str, password: str, at_once: int) -> None:
        self._home, self._programs, self._number = home, dict[str, process.BackgroundProcess](), 0
        self.settings = settings.Settings(home, "127.0.0.1", *(free_port() for _ in range(4)))
        url = f"http://127.0.0.1:{self.settings.airflow_port}"
        host, port = server.split(":")
        given = {name: secrets.token_urlsafe(24) for name in re.findall(r"^([A-Z_]+)=$", _ENV_EXAMPLE, re.MULTILINE)}
        given |= {"REDIS_PASSWORD": password, "AIRFLOW_FERNET_KEY": _fernet_key()}
        self._here = {
            "/var/segue": str(home),
            "/opt/segue": str(settings.ROOT),
            "http://airflow-api-server:8080": url,
            f"segue:{given['POSTGRES_PASSWORD']}@postgres/airflow": uri.split("://")[1],
            "@redis:6379": f"@{host}:{port}",
            "redis:6379,": f"{host}:{port},",
            "0.0.0.0": "127.0.0.1",
        }
        self._given = given
        self._own = {
            "AIRFLOW__CORE__PARALLELISM": str(at_once),
            "AIRFLOW__API__PORT": str(self.settings.airflow_port),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(DEAD_AFTER_S),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        }

    def start(self) -> None:
        """Everything but workers."""
        init = self._start("airflow-init")
        wait_until(lambda: not init.is_running(), "a database that is up to date")
        for name in SERVERS:
            self._start(name)
        health = f"http://127.0.0.1:{self.settings.airflow_port}/api/v2/monitor/health"
        wait_until(lambda: _answers(health), "the API server")

    def start_worker(self) -> str:
        """A worker more; its name, once it takes tasks."""
        self._number += 1
        name = f"worker{self._number}"
        self._start("airflow-worker", name, "--celery-hostname", f"{name}@%h", "--skip-serve-logs")
        log = self._log(name)
        wait_until(lambda: log.exists() and " ready." in log.read_text(errors="replace"), f"{name} ready")
        return name

    def kill_worker(self, name: str) -> None:
        """SIGKILL to the worker and to all that works for it, commands of tasks too."""
        program = self._programs.pop(name)
        while members := program.members():
            for one in members:
                try:
                    one.send_signal(signal.SIGKILL)
                except psutil.Error:
                    continue
            with suppress(ChildProcessError):
                os.waitpid(program.pid, os.WNOHANG)
            time.sleep(0.02)

    def working(self, *words: str) -> list[psutil.Process]:
        """Processes of workers whose command line has all the words."""
        found = []
        for name, program in self._programs.items():
            if name.startswith("worker"):
                found += [one for one in program.members() if _has(one, words)]
        return found

    def begun(self) -> Iterator[tuple[psutil.Process, str, TaskName]]:
        """Tasks that workers have begun, each with the process that watches over it, which is held meanwhile, and its id: every
        try has another.
        """
        for one in self.working("airflow supervisor:"):
            try:
                own = one.cmdline()[0].split()[-1]
                one.suspend()
            except (psutil.Error, IndexError):
                continue
            if own in (running := self.running_tasks()):
                yield one, own, running[own]
            with suppress(psutil.Error):
                one.resume()

    def running_tasks(self) -> dict[str, TaskName]:
        """Id of each task that Airflow takes for running ▸ its DAG, name and place among those that it is mapped over."""
        return self._tasks("running")

    def done_tasks(self) -> set[TaskName]:
        """All tasks of all runs that ended well, without those that no worker is asked for."""
        return set(self._tasks("success", has_worker=True).values())

    def _tasks(self, state: str, has_worker: bool = False) -> dict[str, TaskName]:
        with AirflowClient(self.settings) as airflow:
            asked = {"state": state, "limit": 100}
            rows = airflow._request_json("GET", "/dags/~/dagRuns/~/taskInstances", params=asked)["task_instances"]
        wanted = [row for row in rows if row["hostname"] or not has_worker]
        return {row["id"]: (row["dag_id"], row["task_id"], row["map_index"]) for row in wanted}

    def trigger(self, dag_id: str, **conf: Any) -> DagRun:
        """A run of a DAG, once Airflow knows it."""
        with AirflowClient(self.settings) as airflow:
            wait_until(lambda: airflow.dag_exists(dag_id), dag_id)
            return airflow.trigger(dag_id, conf)

    def tries(self, run: DagRun) -> dict[str, int]:
        """task ▸ how often it was tried."""
        with AirflowClient(self.settings) as airflow:
            return {task.name: task.try_number for task in airflow.list_tasks(run)}

    def state(self, run: DagRun) -> str:
        """How the run is."""
        with AirflowClient(self.settings) as airflow:
            return airflow.get_run(run.dag_id, run.run_id).state

    def stop(self) -> None:
        """Ends everything."""
        for program in self._programs.values():
            for one in program.members():
                try:
                    one.kill()
                except psutil.Error:
                    continue
        for program in self._programs.values():
            process.stop(program)

    def _start(self, service: str, name: str = "", *more: str) -> process.BackgroundProcess:
        told = COMPOSE[service]
        ours = {key: self._in_place(value) for key, value in told["environment"].items()}
        variables = {**environment(self.settings), **ours, **self._own}
        # As the image's entry point does, which says what follows from the settings
        command = [sys.executable, "-m", "local.environment", *told["command"], *more]
        program = process.start(command, variables, settings.ROOT, self._log(name or service))
        self._programs[name or service] = program
        return program

    def _log(self, name: str) -> Path:
        return self._home / "logs" / f"{name}.log"

    def _in_place(self, value: str) -> str:
        text = re.sub(r"\$\{([A-Z_]+)(?::-([^}]*)|[^}]*)\}", lambda found: self._given.get(found[1], found[2]), value)
        for there, here in self._here.items():
            text = text.replace(there, here)
        return text


@contextmanager
def running(home: Path, at_once: int = 2) -> Iterator[Cluster]:
    """A cluster without workers, with so many tasks at the same time."""
    password = secrets.token_urlsafe(12)
    with valkey.running() as server, postgres.running(home.parent / "postgres") as uri:
        # Not from the start: whoever starts it asks without a password whether it is there
        redis.Redis(host=server.host, port=server.port).config_set("requirepass", password)
        cluster = Cluster(home, uri, f"{server.host}:{server.port}", password, at_once)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


_ENV_EXAMPLE = (settings.ROOT / ".env.example").read_text()


def _fernet_key() -> str:
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False


def _has(one: psutil.Process, words: Sequence[str]) -> bool:
    try:
        line = " ".join(one.cmdline())
    except psutil.Error:
        return False
    return all(word in line for word in words)
