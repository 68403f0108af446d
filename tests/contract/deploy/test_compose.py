"""Compose file and Dockerfile: privileges, limits, health checks and images of every service."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from config import settings

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((settings.ROOT / "docker-compose.yml").read_text())["services"]
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


def test_the_pages_mount_the_home_read_only() -> None:
    assert SERVICES["pages"]["volumes"] == ["segue:/var/segue:ro"]


def test_clients_reach_the_recommender_through_nginx_only_and_the_console_shows_its_store() -> None:
    assert "ports" not in SERVICES["recommender"]
    assert SERVICES["recommender"]["environment"]["SEGUE_TRUSTED_PROXIES"]
    for name in ("recommender", "pages"):
        assert SERVICES[name]["environment"]["SEGUE_ONLINE_STORE"] == "redis"


def test_the_build_context_has_no_secrets_tests_or_data() -> None:
    ignored = set((settings.ROOT / ".dockerignore").read_text().split())
    assert {".git", ".env", ".venv", "var", "/tests", "/docs", "/research"} <= ignored
