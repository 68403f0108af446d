"""Background services of the one-machine profile: `python -m local.services start|stop`.

`SERVICES` is the table of services. supervisord runs them, and restarts one that ends after a delay that grows with each attempt.
It has no control socket: SIGTERM ends it. Logs are in `SEGUE_HOME/logs`.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import httpx

from config.bind_address import check_bind_address, check_port_is_free, wait_until_free
from config.command_line import report_errors
from config.settings import ROOT, SettingError, Settings, load_settings, unknown_variables
from local import process
from local.environment import environment
from local.home import HomeFormatError, check_home_format, restrict_access
from local.wrappers import airflow_server
from storage.file_lock import LockHeld, file_lock, lock_holder
from storage.files import DiskSpaceError, check_disk_space

STARTUP_TIMEOUT_S = 300
SUPERVISOR = {
    "nodaemon": "true",
    "logfile": "/dev/null",
    "logfile_maxbytes": "0",
    "pidfile": "run/supervisor.pid",
    "nocleanup": "true",
}
PROGRAM = {
    "directory": str(ROOT).replace("%", "%%"),
    "autorestart": "true",
    "startsecs": "60",  # one that ends earlier waits before it is started again, a second longer each time
    "startretries": "1000000",
    "stopasgroup": "true",
    "stdout_logfile": "NONE",
    "redirect_stderr": "true",
}
"""Options of supervisord and of each of its programs. Its folder is SEGUE_HOME."""
COMMAND = """sh -c 'exec python -m local.services run {0} >> "$SEGUE_HOME/logs/{0}.log" 2>&1'"""
"""The log is no pipe to supervisord, so that a service can still write when supervisord was killed."""
PR_SET_PDEATHSIG = 1


class ServiceError(RuntimeError):
    """A service did not start; the message names it and the end of its log."""


@dataclass(frozen=True)
class Service:
    """One service: how to start it and how to check it."""

    name: str
    module: str  # `python -m MODULE` runs it
    port: Callable[[Settings], int]
    setting: str  # name of the setting of the port, for error messages
    health_path: str  # responds with success once the service is up
    ready_path: str = ""  # responds with success once the service can do its work; empty: same as `health_path`
    extra_environment: Callable[[Settings], Mapping[str, str]] = field(default=lambda _: {})

    def url(self, settings: Settings) -> str:
        """Base URL."""
        return settings.url(self.port(settings))

    def log(self, settings: Settings) -> Path:
        """File with its output."""
        return settings.logs / f"{self.name}.log"

    def is_ready(self, settings: Settings, path: str = "") -> bool:
        """True if the service has loaded everything that it needs, or responds with success to `path`."""
        try:
            return httpx.get(self.url(settings) + (path or self.ready_path or self.health_path), timeout=5).is_success
        except httpx.HTTPError:
            return False


SERVICES = (
    Service(
        name="airflow",
        module="local.wrappers.airflow_standalone",
        port=lambda settings: settings.airflow_port,
        setting="SEGUE_AIRFLOW_PORT",
        health_path="/api/v2/monitor/health",
        extra_environment=airflow_server.environment,
    ),
    Service(
        name="recommender",
        module="serving",
        port=lambda settings: settings.recommender_port,
        setting="SEGUE_RECOMMENDER_PORT",
        health_path="/livez",
        ready_path="/readyz",
    ),
    Service(
        name="mlflow",
        module="local.wrappers.mlflow_app",
        port=lambda settings: settings.mlflow_port,
        setting="SEGUE_MLFLOW_PORT",
        health_path="/health",
    ),
    Service(
        name="pages",
        module="console.server",
        port=lambda settings: settings.console_port,
        setting="SEGUE_CONSOLE_PORT",
        health_path="/livez",
    ),
)


def is_running(settings: Settings) -> bool:
    """Whether supervisord runs for this SEGUE_HOME."""
    return lock_holder(_supervisor_lock(settings)) is not None


def start(settings: Settings, say: Callable[[str], None] = print) -> None:
    """Start the services unless they run, and wait until all respond.

    Raises:
        HomeFormatError, DiskSpaceError, SettingError: Nothing was started, because another version wrote the home, the disk is
            full, a port is taken by another program, or a service must not listen on the host of the settings.
        ServiceError: The services run at other addresses; then nothing was started. Or one ended or did not respond in time.
    """
    for name in unknown_variables():
        say(f"  {name} is not a setting and has no effect; docs/settings.md has the names")
    for service in SERVICES:
        check_bind_address(settings, service.name)
    check_disk_space(settings.home)
    restrict_access(settings.home)
    check_home_format(settings)
    airflow_server.load_or_create_password(settings)
    before = _read(_supervisor_log(settings))
    try:
        with file_lock(_supervisor_lock(settings), timeout_s=0) as lock:
            _start_supervisor(settings, lock.fileno())
        state = "started ({:.0f} s)"
    except LockHeld:
        _check_addresses(settings)
        state = "was running"
    for service in SERVICES:
        started = time.monotonic()
        _wait_until_healthy(service, settings, before)
        say(f"  {service.name:<12} {service.url(settings):<28} {state.format(time.monotonic() - started)}")


def stop(settings: Settings, say: Callable[[str], None] = print) -> None:
    """Stop every service of this SEGUE_HOME with all its child processes."""
    running = [one.name for one in SERVICES if process.members(str(settings.home), one.name)]
    process.stop(str(settings.home))
    for name in running:
        say(f"  {name:<12} stopped")


def run(settings: Settings, service: Service) -> NoReturn:
    """Replace this process, a child of supervisord, with the service; on Linux it ends if supervisord is killed."""
    _end_leftovers(settings, service)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    variables = {**os.environ, **service.extra_environment(settings)}
    os.execvpe("python", ["python", "-m", service.module], variables)  # noqa: S606


def _start_supervisor(settings: Settings, lock: int) -> None:
    """Start supervisord, which has the lock until it ends; its programs are `run`."""
    _end_leftovers(settings, *SERVICES)
    configuration = ConfigParser(interpolation=None)
    configuration["supervisord"] = SUPERVISOR
    for service in SERVICES:
        check_port_is_free(settings, service.name, service.port(settings), service.setting)
        configuration[f"program:{service.name}"] = PROGRAM | {"command": COMMAND.format(service.name)}
    with (settings.home / "run" / "supervisor.conf").open("w") as file:
        configuration.write(file)
    words, log = (
        [sys.executable, "-m", "supervisor.supervisord", "-c", "run/supervisor.conf"],
        _supervisor_log(settings),
    )
    process.start(words, environment(settings), settings.home, log, str(settings.home), pass_fds=[lock])


def _end_leftovers(settings: Settings, *services: Service) -> None:
    """End what killed services left behind: children may still listen on the port, and tasks may still write."""
    for service in services:
        if process.members(str(settings.home), service.name):
            process.stop(str(settings.home), service.name)
            wait_until_free(settings.host, service.port(settings))


def _check_addresses(settings: Settings) -> None:
    for supervisor in process.members(str(settings.home), ""):
        known = supervisor.environ()
        for service in SERVICES:
            host, port = known["SEGUE_HOST"], known[service.setting]
            if (host, port) != (settings.host, str(service.port(settings))):
                raise ServiceError(
                    f"{service.name} runs on {host}, port {port}, and not on {settings.host}, port {service.port(settings)}: "
                    f"`make stop` ends it, or start with SEGUE_HOST={host} {service.setting}={port}"
                )


def _wait_until_healthy(service: Service, settings: Settings, before: str) -> None:
    deadline = time.monotonic() + STARTUP_TIMEOUT_S
    while not service.is_ready(settings, service.health_path):
        log = _supervisor_log(settings)
        has_ended = not is_running(settings) or f"exited: {service.name} (" in _read(log).removeprefix(before)
        if has_ended or time.monotonic() > deadline:
            failure = "ended during startup" if has_ended else f"did not respond within {STARTUP_TIMEOUT_S} s"
            log = service.log(settings) if is_running(settings) else log
            raise ServiceError(
                f"{service.name} {failure}; after a change of settings, `make stop` and start again. The log {log} ends with:\n"
                + "\n".join(_read(log).splitlines()[-15:])
            )
        time.sleep(0.3)


def _supervisor_lock(settings: Settings) -> Path:
    return settings.home / "run" / "supervisor"  # not *.lock, which belong to tasks


def _supervisor_log(settings: Settings) -> Path:
    return settings.logs / "supervisor.log"


def _read(log: Path) -> str:
    return log.read_text(errors="replace") if log.exists() else ""


@report_errors(DiskSpaceError, HomeFormatError, ServiceError, SettingError, code=1)
def main(arguments: list[str] | None = None) -> int:
    """Start or stop the services; supervisord runs one of them."""
    parser = argparse.ArgumentParser(prog="python -m local.services", description="Services on this machine")
    parser.add_argument("verb", choices=["start", "stop", "run"])
    parser.add_argument("service", nargs="?", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    settings = load_settings()
    if chosen.verb == "start":
        start(settings)
    elif chosen.verb == "stop":
        stop(settings)
    else:
        run(settings, next(one for one in SERVICES if one.name == chosen.service))
    return 0


if __name__ == "__main__":
    sys.exit(main())
