"""Services: port checks, private password, environment, and orphaned processes on a port."""

import dataclasses
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from config import settings
from local import airflow_server, process, services
from local.ports import PortTakenError, free_port, is_free


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setenv("SEGUE_PAGES_PORT", str(free_port()))
    return settings.load_settings()


def test_a_taken_port_is_reported_with_its_setting_before_anything_starts(here):
    with socket.socket() as other:
        other.bind((here.host, 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = {name: free_port() for name in ("airflow_port", "recommender_port", "console_port")}
        chosen = dataclasses.replace(here, mlflow_port=taken, **ports)
        with pytest.raises(PortTakenError, match=rf"port {taken} .*mlflow.*SEGUE_MLFLOW_PORT=NUMBER"):
            services.start(chosen)
    assert not list((here.home / "run").glob("*.json"))


def test_the_password_is_random_persistent_and_private(here):
    password = airflow_server.load_or_create_password(here)
    path = here.airflow_passwords
    assert len(password) >= 12
    assert airflow_server.load_or_create_password(here) == password
    assert json.loads(path.read_text()) == {"segue": password}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "null", "{}"])
def test_a_damaged_password_file_is_an_error_that_names_it(here, monkeypatch, capsys, content):
    here.airflow.mkdir()
    here.airflow_passwords.write_text(content)
    monkeypatch.setattr(process, "start", lambda *_: pytest.fail("a service was started"))
    assert services.main(["start"]) == 1
    assert f"{here.airflow_passwords} is damaged" in capsys.readouterr().err


def test_the_first_of_two_starts_at_the_same_time_chooses_the_password(here, monkeypatch):
    def create_meanwhile(_):
        here.airflow_passwords.write_text('{"segue": "first"}')
        return "second"

    monkeypatch.setattr("secrets.token_urlsafe", create_meanwhile)
    assert airflow_server.load_or_create_password(here) == "first"
    assert [path.name for path in here.airflow.iterdir()] == ["passwords.json"]


def test_a_start_that_is_killed_before_it_has_a_password_leaves_no_empty_file(here, monkeypatch):
    def fail(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("secrets.token_urlsafe", fail)
    with pytest.raises(KeyboardInterrupt):
        airflow_server.load_or_create_password(here)
    monkeypatch.undo()
    monkeypatch.setenv("SEGUE_HOME", str(here.home))
    assert len(airflow_server.load_or_create_password(here)) >= 12


def test_services_stop_after_a_power_loss_that_emptied_a_pid_file(here):
    pid_file = services.SERVICES[1].pid_file(here)
    pid_file.parent.mkdir()
    pid_file.touch()
    assert services.main(["stop"]) == 0
    assert services.find_running_process(services.SERVICES[1], here) is None


def test_usage_reporting_is_off_and_parallelism_equals_the_cores(here, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    variables = {**services.environment(here), **airflow_server.environment(here)}
    assert variables["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"
    assert variables["AIRFLOW__CORE__PARALLELISM"] == "2"


def test_the_token_of_a_queued_task_is_valid_for_a_day(here):
    arguments = ["config", "get-value", "execution_api", "jwt_expiration_time"]
    variables = {**services.environment(here), **airflow_server.environment(here)}
    done = subprocess.run(["airflow", *arguments], env=variables, capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) >= 24 * 60 * 60


def test_a_child_process_loads_the_same_settings(here):
    chosen = dataclasses.replace(
        here, airflow_port=1, recommender_port=2, mlflow_port=3, console_port=4, host="127.0.0.9"
    )
    command = [
        sys.executable,
        "-m",
        "local.environment",
        "python",
        "-c",
        "from config import settings; print(settings.load_settings())",
    ]
    done = subprocess.run(command, env=services.environment(chosen), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(chosen)


def test_free_ports_are_below_the_ephemeral_range():
    ports = [free_port() for _ in range(50)]
    assert max(ports) < 32_768
    assert len(set(ports)) > 1


CHILD = "import http.server, sys; http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), None).serve_forever()"
PARENT = (
    "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], sys.argv[2]], start_new_session=True)"
)
SERVER = "import http.server, sys; http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='127.0.0.1')"


@pytest.fixture
def pages(here, monkeypatch):
    """The only service: a server of files on a free port. It is stopped after the test."""
    service = services.Service(
        name="pages",
        command=lambda current: [sys.executable, "-c", SERVER, str(current.console_port)],
        port=lambda current: current.console_port,
        setting="SEGUE_PAGES_PORT",
        health_path="/",
    )
    monkeypatch.setattr(services, "SERVICES", (service,))
    yield service
    services.stop(here)


def test_two_starts_at_once_start_a_service_once(here, pages, monkeypatch):
    start, check_free, both, started = process.start, services.check_free, threading.Barrier(2), []

    def count(*arguments):
        started.append(arguments)
        return start(*arguments)

    def meet(*arguments):
        with suppress(threading.BrokenBarrierError):
            both.wait(timeout=1)
        check_free(*arguments)

    monkeypatch.setattr(process, "start", count)
    monkeypatch.setattr(services, "check_free", meet)
    with ThreadPoolExecutor(2) as commands:
        for command in [commands.submit(services.start, here) for _ in range(2)]:
            command.result()
    assert len(started) == 1
    assert services.find_running_process(pages, here)


def test_a_stop_waits_until_started_services_can_be_found(here, pages, monkeypatch):
    start, is_starting = process.start, threading.Event()

    def start_slowly(*arguments):
        is_starting.set()
        time.sleep(0.5)
        return start(*arguments)

    silent = dataclasses.replace(pages, command=lambda _: [sys.executable, "-c", "import time; time.sleep(600)"])
    monkeypatch.setattr(services, "SERVICES", (silent,))
    monkeypatch.setattr(process, "start", start_slowly)
    with ThreadPoolExecutor(1) as commands:
        command = commands.submit(services.start, here)
        assert is_starting.wait(30)
        services.stop(here)
        with pytest.raises(services.ServiceError, match="ended during startup"):
            command.result()
    assert not services.find_running_process(pages, here)


def test_an_orphaned_child_on_the_port_is_ended_before_a_restart(here, pages):
    port = pages.port(here)
    program = process.start([sys.executable, "-c", PARENT, CHILD, str(port)], os.environ, here.home, here.home / "log")
    process.save(program, pages.pid_file(here))
    while is_free("127.0.0.1", port):
        time.sleep(0.05)
    os.kill(program.pid, signal.SIGKILL)
    os.waitpid(program.pid, 0)
    assert not is_free("127.0.0.1", port)
    services.start(here)
    assert services.find_running_process(pages, here).pid != program.pid


def test_a_service_that_runs_on_another_port_is_an_error_that_names_both(here, monkeypatch):
    service = dataclasses.replace(services.SERVICES[3], startup_timeout_s=1)
    monkeypatch.setattr(services, "SERVICES", (service,))
    variables = services.environment(dataclasses.replace(here, console_port=free_port()))
    program = process.start(
        [sys.executable, "-c", "import time; time.sleep(600)"], variables, here.home, here.home / "log"
    )
    process.save(program, service.pid_file(here))
    port = free_port()
    try:
        while service.setting not in program.environment():
            time.sleep(0.05)
        with pytest.raises(
            services.ServiceError, match=rf"port {variables[service.setting]}, and not on .*port {port}:"
        ):
            services.start(dataclasses.replace(here, console_port=port))
    finally:
        services.stop(here)
