"""Background services of the one-machine profile: `python -m local.services start|stop|status`.

`SERVICES`, with `CONSUMER_SERVICE` if a broker is configured, is the table of services. Pid files are in `SEGUE_HOME/run`,
logs in `SEGUE_HOME/logs`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx

from config.bind_address import check_bind_address
from config.settings import ROOT, SettingError, Settings, load_settings
from local import airflow_server, process
from local.environment import environment
from local.home import HomeFormatError, check_home_format, restrict_access
from local.ports import PortTakenError, check_free, wait_until_free
from storage.disk_space import DiskSpaceError, check_disk_space
from storage.file_lock import file_lock


class ServiceError(RuntimeError):
    """A service did not start; the message names it and the end of its log."""


@dataclass(frozen=True)
class Service:
    """One service: how to start it and how to check it."""

    name: str
    command: Callable[[Settings], list[str]]
    port: Callable[[Settings], int]
    setting: str  # name of the setting of the port, for error messages
    health_path: str  # responds with success once the service is up
    ready_path: str = ""  # responds with success once the service can do its work; empty: same as `health_path`
    startup_timeout_s: float = 300
    extra_environment: Callable[[Settings], Mapping[str, str]] = field(default=lambda _: {})

    def url(self, settings: Settings) -> str:
        """Base URL."""
        return settings.url(self.port(settings))

    def pid_file(self, settings: Settings) -> Path:
        """File with the id of its process."""
        return _pid_folder(settings) / f"{self.name}.json"

    def log(self, settings: Settings) -> Path:
        """File with its output."""
        return settings.logs / f"{self.name}.log"

    def is_healthy(self, settings: Settings) -> bool:
        """True if the service is up."""
        return self._responds(settings, self.health_path)

    def is_ready(self, settings: Settings) -> bool:
        """True if the service is up and has loaded everything that it needs."""
        return self._responds(settings, self.ready_path or self.health_path)

    def _responds(self, settings: Settings, path: str) -> bool:
        try:
            return httpx.get(self.url(settings) + path, timeout=5).is_success
        except httpx.HTTPError:
            return False


SERVICES = (
    Service(
        name="airflow",
        command=lambda _: ["python", "-m", "local.wrappers.airflow_standalone"],
        port=lambda settings: settings.airflow_port,
        setting="SEGUE_AIRFLOW_PORT",
        health_path="/api/v2/monitor/health",
        extra_environment=airflow_server.environment,
    ),
    Service(
        name="recommender",
        command=lambda _: ["python", "-m", "serving"],
        port=lambda settings: settings.recommender_port,
        setting="SEGUE_RECOMMENDER_PORT",
        health_path="/livez",
        ready_path="/readyz",
    ),
    Service(
        name="mlflow",
        command=lambda _: ["python", "-m", "local.mlflow_server"],
        port=lambda settings: settings.mlflow_port,
        setting="SEGUE_MLFLOW_PORT",
        health_path="/health",
    ),
    Service(
        name="pages",
        command=lambda _: ["python", "-m", "console.server"],
        port=lambda settings: settings.console_port,
        setting="SEGUE_PAGES_PORT",
        health_path="/livez",
    ),
)

CONSUMER_SERVICE = Service(
    name="consumer",
    command=lambda _: ["python", "-m", "sequences.streaming.consume"],
    port=lambda settings: settings.consumer_port,
    setting="SEGUE_CONSUMER_PORT",
    health_path="/metrics",
)
"""Started only if events go through a broker."""


def installed_services(settings: Settings) -> tuple[Service, ...]:
    """Services of this installation, in start order."""
    return (*SERVICES, CONSUMER_SERVICE) if settings.broker else SERVICES


def find_running_process(service: Service, settings: Settings) -> process.BackgroundProcess | None:
    """Program of the service, None if it does not run."""
    program = process.load(service.pid_file(settings))
    return program if program and program.is_running() else None


def start(settings: Settings, say: Callable[[str], None] = print) -> None:
    """Start the services that do not run and wait until all respond.

    Raises:
        HomeFormatError, PortTakenError, DiskSpaceError, SettingError: Nothing was started, because another version wrote the
            home, a port is taken by another program, the disk is full, or a service must not listen on the host of the settings.
        ServiceError: A service runs at another address; then nothing was started. Or a service ended or did not respond in time.
    """
    for service in installed_services(settings):
        check_bind_address(settings, service.name)
    check_disk_space(settings.home)
    restrict_access(settings.home)
    check_home_format(settings)
    with _locked(settings):
        airflow_server.load_or_create_password(settings)
        missing = _start_missing(settings)
    for service in installed_services(settings):
        started = time.monotonic()
        _wait_until_healthy(service, settings)
        state = f"started ({time.monotonic() - started:.0f} s)" if service in missing else "was running"
        say(f"  {service.name:<12} {service.url(settings):<28} {state}")


def _start_missing(settings: Settings) -> list[Service]:
    """Start the services that do not run; returns them."""
    missing = [service for service in installed_services(settings) if not find_running_process(service, settings)]
    for service in installed_services(settings):
        _check_address(service, settings)
    for service in missing:
        # Children of a killed service may still listen on the port, and its tasks may still write
        if orphaned := process.load(service.pid_file(settings)):
            process.stop(orphaned)
            wait_until_free(settings.host, service.port(settings))
    for service in missing:
        check_free(service.name, settings.host, service.port(settings), service.setting)
    for service in missing:
        variables = {**environment(settings), **service.extra_environment(settings)}
        program = process.start(service.command(settings), variables, ROOT, service.log(settings))
        process.save(program, service.pid_file(settings))
    return missing


def stop(settings: Settings, say: Callable[[str], None] = print) -> None:
    """Stop every service of this SEGUE_HOME with all its child processes."""
    if not _pid_folder(settings).is_dir():
        return
    with _locked(settings):
        for service in reversed((*SERVICES, CONSUMER_SERVICE)):
            program = process.load(service.pid_file(settings))
            if program is None:
                continue
            process.stop(program)
            service.pid_file(settings).unlink()
            say(f"  {service.name:<12} stopped")


def _locked(settings: Settings) -> IO[str]:
    """Let one command at a time start or stop services."""
    return file_lock(_pid_folder(settings) / "services.starting")  # not *.lock, which are those of tasks


def _pid_folder(settings: Settings) -> Path:
    return settings.home / "run"


def _check_address(service: Service, settings: Settings) -> None:
    program = find_running_process(service, settings)
    variables = program.environment() if program else {}
    host, port = variables.get("SEGUE_HOST"), variables.get(service.setting)
    if host and port and (host, port) != (settings.host, str(service.port(settings))):
        raise ServiceError(
            f"{service.name} runs on {host}, port {port}, and not on {settings.host}, port {service.port(settings)}: "
            f"`make stop` ends it, or start with SEGUE_HOST={host} {service.setting}={port}"
        )


def _wait_until_healthy(service: Service, settings: Settings) -> None:
    deadline = time.monotonic() + service.startup_timeout_s
    while not service.is_healthy(settings):
        has_ended = find_running_process(service, settings) is None
        if has_ended or time.monotonic() > deadline:
            failure = (
                "ended during startup" if has_ended else f"did not respond within {service.startup_timeout_s:.0f} s"
            )
            lines = service.log(settings).read_text(errors="replace").splitlines()[-15:]
            raise ServiceError(
                f"{service.name} {failure}; its log {service.log(settings)} ends with:\n" + "\n".join(lines)
            )
        time.sleep(0.3)


def main(arguments: list[str] | None = None) -> int:
    """Start, stop or list the services."""
    parser = argparse.ArgumentParser(prog="python -m local.services", description="Services on this machine")
    parser.add_argument("verb", choices=["start", "stop", "status"])
    verb = parser.parse_args(arguments).verb
    try:
        settings = load_settings()
        if verb == "start":
            start(settings)
        elif verb == "stop":
            stop(settings)
        else:
            for service in installed_services(settings):
                print(f"  {service.name:<12} {'running' if find_running_process(service, settings) else 'stopped'}")
    except (PortTakenError, DiskSpaceError, HomeFormatError, ServiceError, SettingError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
