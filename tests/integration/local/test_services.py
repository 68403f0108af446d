"""Services: port checks, private password, environment, and what is left of killed services."""

import dataclasses
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from config import settings
from config.bind_address import is_free, wait_until_free
from local import process, services
from local.wrappers import airflow_server
from storage.files import atomic_write
from tests.support.pipeline_commands import run_to_end
from tests.support.ports import free_port
from tests.support.waiting import wait_until


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setenv("SEGUE_CONSOLE_PORT", str(free_port()))
    return settings.load_settings()


def test_a_taken_port_is_reported_with_its_setting_before_anything_starts(here):
    with socket.socket() as other:
        other.bind((here.host, 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = {name: free_port() for name in ("airflow_port", "recommender_port", "console_port")}
        chosen = here.model_copy(update={"mlflow_port": taken, **ports})
        with pytest.raises(settings.SettingError, match=rf"port {taken} .*mlflow.*SEGUE_MLFLOW_PORT=NUMBER"):
            services.start(chosen)
    assert not services.is_running(chosen)


def test_the_password_is_random_persistent_and_private(here):
    password = airflow_server.load_or_create_password(here)
    path = here.airflow_passwords
    assert len(password) >= 12
    assert airflow_server.load_or_create_password(here) == password
    assert json.loads(path.read_text()) == {"segue": password}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "null", "{}"])
def test_a_damaged_password_file_is_an_error_that_names_it(here, monkeypatch, capsys, content):
    atomic_write(here.airflow_passwords, content)
    monkeypatch.setattr(process, "start", lambda *_, **__: pytest.fail("a service was started"))
    assert services.main(["start"]) == 1
    assert f"{here.airflow_passwords} is damaged" in capsys.readouterr().err


def test_a_child_process_loads_the_same_settings(here):
    ports = {"airflow_port": 1, "recommender_port": 2, "mlflow_port": 3, "console_port": 4}
    chosen = here.model_copy(update=ports | {"host": "127.0.0.9"})
    command = [
        sys.executable,
        "-m",
        "local.environment",
        "python",
        "-c",
        "from config import settings; print(settings.load_settings())",
    ]
    assert run_to_end(command, services.environment(chosen)).strip() == str(chosen)


SERVER = "import http.server, sys; http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), None).serve_forever()"


@pytest.fixture
def pages(here, monkeypatch):
    """The only service: the console. It is stopped after the test."""
    monkeypatch.setattr(services, "SERVICES", services.SERVICES[3:])
    yield services.SERVICES[0]
    services.stop(here)


def only_process(here, program):
    (found,) = process.members(str(here.home), program)
    return found


def test_two_starts_at_once_start_the_services_once_and_without_a_control_socket(here, pages):
    lines = []
    with ThreadPoolExecutor(2) as commands:
        for command in [commands.submit(services.start, here, lines.append) for _ in range(2)]:
            command.result()
    assert sorted("was running" in line for line in lines) == [False, True]
    assert only_process(here, "").net_connections("all") == []
    other = here.model_copy(update={"console_port": free_port()})
    found = rf"port {here.console_port}, and not on .*port {other.console_port}:"
    with pytest.raises(services.ServiceError, match=found):
        services.start(other)


def test_a_killed_service_is_restarted_and_a_killed_supervisor_leaves_none(here, pages):
    services.start(here)
    killed = only_process(here, "pages")
    killed.kill()
    wait_until(lambda: pages.is_ready(here), "the pages")
    restarted, supervisor = only_process(here, "pages"), only_process(here, "")
    assert restarted != killed
    supervisor.kill()
    assert psutil.wait_procs([restarted], 30)[1] == []
    wait_until_free(here.host, here.console_port, timeout_s=1)
    assert is_free(here.host, here.console_port) and not services.is_running(here)


def test_a_service_that_ends_is_named_with_the_end_of_its_log(here, pages, monkeypatch):
    monkeypatch.setenv("SEGUE_OPERATOR_PASSWORD", "short")
    with pytest.raises(
        services.ServiceError, match=r"pages ended during startup(?s:.*)SEGUE_OPERATOR_PASSWORD"
    ) as error:
        services.start(here)
    assert str(pages.log(here)) in str(error.value)


def test_a_stop_ends_a_start(here, pages, monkeypatch):
    monkeypatch.setattr(services, "SERVICES", (dataclasses.replace(pages, health_path="/none"),))
    with ThreadPoolExecutor(1) as commands:
        command = commands.submit(services.start, here)
        wait_until(lambda: process.members(str(here.home), "pages"), "the pages")
        services.stop(here)
        with pytest.raises(services.ServiceError, match="ended during startup"):
            command.result()
    assert process.members(str(here.home)) == [] and not services.is_running(here)


def test_an_orphaned_child_on_the_port_is_ended_before_a_start(here, pages):
    marked = os.environ | {process.MARK: str(here.home), process.PROGRAM: "pages"}
    orphan = subprocess.Popen([sys.executable, "-c", SERVER, str(here.console_port)], env=marked)
    wait_until(lambda: not is_free(here.host, here.console_port), "the orphan")
    services.start(here)
    assert orphan.wait() == -signal.SIGTERM
