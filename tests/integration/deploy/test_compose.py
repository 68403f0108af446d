"""The compose file is valid, has no default password, and every command in it starts on this machine."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(TEXT)
REQUIRED = re.findall(r"^([A-Z_]+)=$", (ROOT / ".env.example").read_text(), re.MULTILINE)
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "segue:latest"}


def compose_command():
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    found = shutil.which("docker") and subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    )
    return ["docker", "compose"] if found and found.returncode == 0 else None


@pytest.mark.skipif(compose_command() is None, reason="no docker compose is installed here")
@pytest.mark.parametrize("missing", [None, *REQUIRED])
def test_docker_compose_accepts_the_file_only_with_every_secret(missing):
    secrets = {name: "checked" for name in REQUIRED if name != missing}
    environment = {key: value for key, value in os.environ.items() if key not in REQUIRED} | secrets
    command = [*compose_command(), "--env-file", "/dev/null", "config", "--quiet"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (missing is None), done.stderr
    assert missing is None or missing in done.stderr


def test_every_secret_comes_from_the_env_file_without_a_default():
    used = set(re.findall(r"\$\{([A-Z_]+):\?", TEXT))
    assert used == set(REQUIRED)
    defaulted = set(re.findall(r"\$\{([A-Z_]+):?-", TEXT))
    assert not {name for name in defaulted if "PASSWORD" in name or "SECRET" in name or "KEY" in name}


def test_every_service_that_stays_up_has_a_health_check():
    assert {name for name, service in COMPOSE["services"].items() if "healthcheck" not in service} == {"airflow-init"}


def test_ports_are_published_on_loopback_only():
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_command_starts_natively(name, tmp_path):
    command = OURS[name]["command"]
    environment = {**os.environ, "SEGUE_HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path / "airflow")}
    if command[0] == "python":
        assert command[1] == "-m"
        probe = ["python", "-c", f"import importlib.util as u; assert u.find_spec({command[2]!r} ), 'no such module'"]
    else:
        probe = [*command, "--help"]
    line = [sys.executable, "-m", "local.environment", *probe]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_init_service_makes_a_database_and_a_private_password(tmp_path):
    environment = {
        **os.environ,
        **{"SEGUE_HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path / "airflow"), "AIRFLOW_PASSWORD": "given"},
    }
    line = [sys.executable, "-m", "local.environment", *OURS["airflow-init"]["command"]]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "airflow" / "airflow.db").stat().st_size > 0
    assert (tmp_path / "airflow" / "passwords.json").read_text() == '{"segue": "given"}'
