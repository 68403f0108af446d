"""Pytest plugin that makes `make acceptance` resumable: tests that passed with the same code and inputs are skipped.

Load it with `-p tests.support.acceptance_plugin`. The acceptance home (SEGUE_ACCEPTANCE_HOME, default var/acceptance) has one
file per passed test in `passed/` and the required and measured values in `reports/acceptance.json`.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from storage.files import read_json, write_json

ROOT = Path(__file__).parents[2]
HOME = Path(os.environ.get("SEGUE_ACCEPTANCE_HOME") or ROOT / "var" / "acceptance").resolve()
REPORT = HOME / "reports" / "acceptance.json"
# Settings for a trial on less data. The requirements hold for the defaults.
LOGS = Path(os.environ.get("SEGUE_ACCEPTANCE_LOGS") or ROOT.parent / "shared" / "data" / "listening_logs").resolve()
RECIPE = os.environ.get("SEGUE_ACCEPTANCE_RECIPE") or "small"
ROWS = int(os.environ.get("SEGUE_ACCEPTANCE_ROWS") or 0)
SHARE = float(os.environ.get("SEGUE_ACCEPTANCE_SHARE") or 1)  # fraction of the kills, faults and cases
IS_FULL_SIZE = RECIPE == "small" and not ROWS and SHARE == 1
CODE = (
    "config storage event_store ingestion dbt quality sequences feature_repo content recommender releases training serving served_behavior "
    "privacy console dags local media web tests/e2e tests/support uv.lock Dockerfile docker-compose.yml deploy/image deploy/nginx"
)


@cache
def code() -> str:
    """Hash of all code, committed or not."""
    digest = hashlib.sha256()
    for name in CODE.split():
        files = [ROOT / name] if (ROOT / name).is_file() else sorted((ROOT / name).rglob("*"))
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()[:16]


@cache
def inputs() -> str:
    """Hash of the logs and settings."""
    files = sorted(LOGS.glob("*")) if LOGS.is_dir() else []
    hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()]
    return hashlib.sha256(" ".join([*hashes, RECIPE, str(ROWS), str(SHARE)]).encode()).hexdigest()[:16]


def key() -> dict[str, str]:
    """Code and inputs for which a result is valid."""
    return {"code": code(), "inputs": inputs()}


def report(name: str, required: str, measured: object) -> None:
    """Record the required and the measured value under `name`, replacing an earlier record."""
    results = {**read_json(REPORT).get("results", {}), name: {"required": required, "measured": measured, **key()}}
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    revision = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    write_json(
        REPORT, {"machine": machine, "revision": revision, "recipe": RECIPE, "rows": ROWS or "all", "results": results}
    )


def _marker(test: pytest.Item) -> Path:
    return HOME / "passed" / f"{re.sub('[^a-zA-Z0-9]+', '_', test.nodeid.removesuffix(']'))}.json"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that has passed, before its fixtures are set up."""
    passed = read_json(_marker(item))
    if passed and {name: passed[name] for name in key()} == key():
        pytest.skip(f"passed at {passed['at']} with this code and these inputs")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Record a passed test."""
    outcome = yield
    if outcome.when == "call" and outcome.passed:
        write_json(_marker(item), {**key(), "at": datetime.now(UTC).isoformat(timespec="seconds")})
    return outcome


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print required and measured values."""
    results = read_json(REPORT).get("results", {})
    terminalreporter.section(f"required and measured ({REPORT})")
    for name, row in results.items():
        stale = "" if {field: row[field] for field in key()} == key() else "   [other code or inputs]"
        terminalreporter.write_line(f"{name:<44} {row['required']:<34} {row['measured']}{stale}")
