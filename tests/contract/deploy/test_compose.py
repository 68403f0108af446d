"""Compose file: secrets, privileges, limits, health checks, ports, modules and images of every service."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Any

import pytest
import yaml

from config import settings

TEXT = (settings.ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
COMMANDS = {name: service["command"] for name, service in SERVICES.items() if "build" in service}
CAPABILITIES = {"postgres": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}}
"""What the entry point of PostgreSQL's image needs before it changes to the user postgres."""


@pytest.mark.parametrize("name", SERVICES)
def test_containers_are_restricted(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert set(service.get("cap_add", [])) == CAPABILITIES.get(name, set())
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "devices", "network_mode", "pid", "ipc"} & set(service)
    assert service["read_only"] is True
    for mount in service["tmpfs"]:
        assert {"noexec", "nosuid", "nodev"} <= set(mount.split(":")[1].split(",")), mount
        assert re.search(r"size=\d+m", mount), mount
    assert re.fullmatch(r"\d+[gm]|\$\{[A-Z_]+:-\d+[gm]\}", service["mem_limit"])
    assert 0 < service["pids_limit"] <= 1024
    assert re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[a-z/]+:[a-z0-9.-]+\}", service["image"]), "can be pinned by its digest"


def test_every_secret_comes_from_the_env_file_without_a_default() -> None:
    names = re.findall(r"^([A-Z_]+)=$", (settings.ROOT / ".env.example").read_text(), re.MULTILINE)
    assert set(re.findall(r"\$\{([A-Z_]+):\?", TEXT)) == set(names)
    defaulted = set(re.findall(r"\$\{([A-Z_]+):?-", TEXT))
    assert not {name for name in defaulted if "PASSWORD" in name or "SECRET" in name or "KEY" in name}


def test_every_long_running_service_has_a_health_check() -> None:
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == {"airflow-init"}


def test_ports_are_published_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports and all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", sorted(name for name, command in COMMANDS.items() if command[0] == "python"))
def test_the_module_of_a_service_exists(name: str) -> None:
    _, option, module = COMMANDS[name]
    assert option == "-m" and find_spec(module)


def test_the_pages_mount_the_home_read_only() -> None:
    assert SERVICES["pages"]["volumes"] == ["segue:/var/segue:ro"]


def test_clients_reach_the_recommender_through_nginx_only_and_the_console_shows_its_store() -> None:
    assert "ports" not in SERVICES["recommender"]
    assert SERVICES["recommender"]["environment"]["SEGUE_TRUSTED_PROXIES"]
    for name in ("recommender", "pages"):
        assert SERVICES[name]["environment"]["SEGUE_ONLINE_STORE"] == "redis"


def test_the_build_context_has_no_secrets_tests_or_data() -> None:
    assert {".git", ".env", ".venv", "var", "/tests", "/docs", "/research"} <= set(
        (settings.ROOT / ".dockerignore").read_text().split()
    )
