"""Compose file: valid, no default passwords, and every command starts on this machine."""

import os
import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.pipeline_commands import run_to_end

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(TEXT)
REQUIRED = re.findall(r"^([A-Z_]+)=$", (ROOT / ".env.example").read_text(), re.MULTILINE)
OWN_SERVICES = {name: service for name, service in COMPOSE["services"].items() if "build" in service}


def test_every_secret_comes_from_the_env_file_without_a_default():
    used = set(re.findall(r"\$\{([A-Z_]+):\?", TEXT))
    assert used == set(REQUIRED)
    defaulted = set(re.findall(r"\$\{([A-Z_]+):?-", TEXT))
    assert not {name for name in defaulted if "PASSWORD" in name or "SECRET" in name or "KEY" in name}


def test_every_long_running_service_has_a_health_check():
    assert {name for name, service in COMPOSE["services"].items() if "healthcheck" not in service} == {"airflow-init"}


def test_ports_are_published_on_loopback_only():
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", sorted(OWN_SERVICES))
def test_the_command_starts_natively(name, tmp_path):
    command = OWN_SERVICES[name]["command"]
    environment = {**os.environ, "SEGUE_HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path / "airflow")}
    if command[0] == "python":
        assert command[1] == "-m"
        probe = ["python", "-c", f"import importlib.util as u; assert u.find_spec({command[2]!r} ), 'no such module'"]
    else:
        probe = [*command, "--help"]
    wrapped = [sys.executable, "-m", "local.environment", *probe]
    run_to_end(wrapped, environment, timeout_s=120)


def test_the_init_service_creates_the_database_and_a_private_password(tmp_path):
    environment = {
        **os.environ,
        **{"SEGUE_HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path / "airflow"), "AIRFLOW_PASSWORD": "given"},
    }
    wrapped = [sys.executable, "-m", "local.environment", *OWN_SERVICES["airflow-init"]["command"]]
    run_to_end(wrapped, environment, timeout_s=180)
    assert (tmp_path / "airflow" / "airflow.db").stat().st_size > 0
    assert (tmp_path / "airflow" / "passwords.json").read_text() == '{"segue": "given"}'
