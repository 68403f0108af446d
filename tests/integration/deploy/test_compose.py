"""Compose file: valid, no default passwords, and every command exists on this machine."""

import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from tests.support.pipeline_commands import run_to_end

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(TEXT)
REQUIRED = re.findall(r"^([A-Z_]+)=$", (ROOT / ".env.example").read_text(), re.MULTILINE)
PARSE = """
import sys
from airflow.cli.cli_parser import get_parser
for command in sys.argv[1:]:
    print(get_parser().parse_args(command.split()).func)
"""
COMMANDS = {name: service["command"] for name, service in COMPOSE["services"].items() if "build" in service}


def test_every_secret_comes_from_the_env_file_without_a_default():
    assert set(re.findall(r"\$\{([A-Z_]+):\?", TEXT)) == set(REQUIRED)
    defaulted = set(re.findall(r"\$\{([A-Z_]+):?-", TEXT))
    assert not {name for name in defaulted if "PASSWORD" in name or "SECRET" in name or "KEY" in name}


def test_every_long_running_service_has_a_health_check():
    assert {name for name, service in COMPOSE["services"].items() if "healthcheck" not in service} == {"airflow-init"}


def test_ports_are_published_on_loopback_only():
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", sorted(name for name, command in COMMANDS.items() if command[0] == "python"))
def test_the_module_of_a_service_exists(name):
    _, option, module = COMMANDS[name]
    assert option == "-m" and find_spec(module)


def test_airflow_has_the_commands_of_its_services(tmp_path):
    arguments = [" ".join(command[1:]) for command in COMMANDS.values() if command[0] == "airflow"]
    variables = {**os.environ, "AIRFLOW_HOME": str(tmp_path / "airflow")}
    assert len(run_to_end([sys.executable, "-c", PARSE, *arguments], variables).splitlines()) >= len(arguments) == 5


def test_the_init_service_creates_the_database_and_a_private_password(tmp_path):
    environment = {
        **os.environ,
        **{"SEGUE_HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path / "airflow"), "AIRFLOW_PASSWORD": "given"},
    }
    wrapped = [sys.executable, "-m", "local.environment", *COMMANDS["airflow-init"]]
    run_to_end(wrapped, environment, timeout_s=180)
    assert (tmp_path / "airflow" / "airflow.db").stat().st_size > 0
    assert (tmp_path / "airflow" / "passwords.json").read_text() == '{"segue": "given"}'
