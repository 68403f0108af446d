"""`docker-compose.yml` as a project of its own under podman, in a folder with its secrets, ports and override file.

podman has no daemon: this module starts its API for docker-compose, and runs the health checks of the containers at their
intervals, which podman otherwise leaves to systemd.
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
import resource
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from config.settings import ROOT, Settings
from storage.files import atomic_write
from tests.support.pipeline_commands import run_to_end
from tests.support.ports import PORTS, free_port
from tests.support.waiting import wait_until

PROJECT = "segue_acceptance"
IMAGE = "localhost/segue:acceptance"
COMMAND_TIMEOUT_S = 600


def podman(*arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
    """Output of a podman command, which must succeed."""
    return run_to_end(["podman", *arguments], timeout_s=timeout_s).strip()


def configure_podman(folder: Path) -> None:
    """Make podman use runc, because crun does not work with version 1 of cgroups, and limits that this machine allows."""
    files, processes = (resource.getrlimit(limit)[1] for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC))
    atomic_write(
        folder / "containers.conf",
        f'[containers]\ndefault_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]\n'
        '[engine]\nruntime = "runc"\n',
    )
    os.environ |= {"CONTAINERS_CONF": str(folder / "containers.conf"), "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}


class ComposeProject:
    """The services of the compose file; created by `running`."""

    def __init__(self, folder: Path, socket: Path, absent: tuple[str, ...]) -> None:
        self._folder = folder
        self.variables = _load_or_create_variables(folder)
        override = folder / "override.yml"
        override.write_text(json.dumps({"services": {name: {"profiles": ["absent"]} for name in absent}}))
        self._environment = {
            **os.environ,
            **self.variables,
            "COMPOSE_PROJECT_NAME": PROJECT,
            "COMPOSE_FILE": f"{ROOT / 'docker-compose.yml'}:{override}",
            "DOCKER_HOST": f"unix://{socket}",
        }
        ports = {name: int(self.variables[name]) for name in PORTS}
        self.keep_volumes = False
        self.settings = Settings(home=folder / "client", **ports)

    def run(self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Output of a docker-compose command, which must succeed."""
        done = subprocess.run(
            ["docker-compose", *arguments],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}\n{self.describe()}"
        return done.stdout

    def up(self, timeout_s: int) -> None:
        """Start all services, and wait until every one is healthy."""
        self.run("up", "--detach", "--no-build", "--wait", "--wait-timeout", str(timeout_s))

    def describe(self) -> str:
        """State of all containers and the last lines of those that are not healthy."""
        lines = []
        for container in self.containers():
            name, status = container["Names"][0], container["Status"]
            lines.append(f"{name}: {status}")
            if "(healthy)" not in status:
                logs = subprocess.run(
                    ["podman", "logs", "--tail", "15", name], capture_output=True, text=True, check=False
                )
                lines.append(logs.stdout + logs.stderr)
        return "\n".join(lines)

    def containers(self) -> list[dict[str, Any]]:
        """All containers of the project, as podman lists them."""
        label = f"label=com.docker.compose.project={PROJECT}"
        return list(json.loads(podman("ps", "--all", "--format", "json", "--filter", label)))

    def inspect(self, service: str) -> dict[str, Any]:
        """What podman knows about the container of a service."""
        return dict(json.loads(podman("inspect", f"{PROJECT}-{service}-1"))[0])

    def is_healthy_since(self, service: str, start: datetime) -> bool:
        """Whether a service runs and a health check that began after `start` has succeeded."""
        state = self.inspect(service)["State"]
        checks = state["Health"].get("Log") or [] if state["Running"] else []
        return any(check["ExitCode"] == 0 and datetime.fromisoformat(check["Start"]) > start for check in checks)

    def kill(self, service: str) -> int:
        """Send SIGKILL to the main process of a service; return its process id on this machine.

        `podman kill` would count as a manual stop, after which nothing restarts the container.
        """
        pid = int(self.inspect(service)["State"]["Pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    def volume(self, name: str) -> Path:
        """Folder of a volume on this machine."""
        return Path(podman("volume", "inspect", f"{PROJECT}_{name}", "--format", "{{.Mountpoint}}"))


@contextmanager
def running(folder: Path, absent: tuple[str, ...] = ()) -> Iterator[ComposeProject]:
    """The project without the services `absent`. Nothing is started; at the end everything is removed, volumes unless kept."""
    socket = folder / "podman.sock"
    socket.unlink(missing_ok=True)
    api = subprocess.Popen(["podman", "system", "service", "--time", "0", f"unix://{socket}"])
    over = threading.Event()
    try:
        wait_until(socket.exists, "podman's API")
        project = ComposeProject(folder, socket, absent)
        checks = threading.Thread(target=_run_health_checks, args=(project, over), daemon=True)
        checks.start()
        try:
            yield project
        except BaseException:
            project.keep_volumes = True
            raise
        finally:
            over.set()
            checks.join()
            project.run("down", *([] if project.keep_volumes else ["--volumes"]), "--timeout", "20")
    finally:
        api.terminate()
        api.wait()


def _load_or_create_variables(folder: Path) -> dict[str, str]:
    """Secrets of `.env.example`, free ports and the image; kept, so that a later start finds its volumes' passwords."""
    file = folder / "variables.json"
    if not file.exists():
        names = re.findall(r"^([A-Z_]+)=$", (ROOT / ".env.example").read_text(), re.MULTILINE)
        values = {name: secrets.token_urlsafe(24) for name in names}
        values["AIRFLOW_FERNET_KEY"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        values |= {name: str(free_port()) for name in (*PORTS, "PROMETHEUS_PORT", "GRAFANA_PORT")}
        file.write_text(json.dumps(values | {"SEGUE_IMAGE": IMAGE}))
    return dict(json.loads(file.read_text()))


def _run_health_checks(project: ComposeProject, over: threading.Event) -> None:
    """Run each container's health check at its interval until `over` is set."""
    due = dict[str, float]()
    checks = dict[str, subprocess.Popen[bytes]]()
    while not over.wait(1):
        # A container may disappear between two commands of podman.
        with suppress(AssertionError):
            for container in project.containers():
                name = container["Id"]
                is_idle = name not in checks or checks[name].poll() is not None
                if container["State"] == "running" and is_idle and time.monotonic() >= due.get(name, 0):
                    due[name] = time.monotonic() + _health_interval_s(name)
                    checks[name] = subprocess.Popen(
                        ["podman", "healthcheck", "run", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                    )
    for check in checks.values():
        check.wait()


@cache
def _health_interval_s(container: str) -> float:
    """Seconds between two health checks of a container; infinite without a check."""
    check = json.loads(podman("inspect", container, "--format", "{{json .Config.Healthcheck}}"))
    return float(check["Interval"]) / 1e9 if check and check.get("Test") else math.inf
