"""`make acceptance` goes on where it was killed: what passed with the same code and inputs is not done again.

A pytest plugin (`-p tests.support.acceptance_plugin`). A marker a passed test lies in `passed/` of the acceptance home (setting
SEGUE_ACCEPTANCE_HOME, default var/acceptance); `reports/acceptance.json` there says what was asked and what was measured.
"""

from __future__ import annotations

import hashlib
import json
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

ROOT = Path(__file__).parents[2]
HOME = Path(os.environ.get("SEGUE_ACCEPTANCE_HOME") or ROOT / "var" / "acceptance").resolve()
REPORT = HOME / "reports" / "acceptance.json"
# Settings with which acceptance itself is tried on something small. The promises are about their defaults.
LOGS = Path(os.environ.get("SEGUE_ACCEPTANCE_LOGS") or ROOT.parent / "shared" / "data" / "listening_logs").resolve()
RECIPE = os.environ.get("SEGUE_ACCEPTANCE_RECIPE") or "small"
ROWS = int(os.environ.get("SEGUE_ACCEPTANCE_ROWS") or 0)
IS_WHOLE = RECIPE == "small" and not ROWS
CODE = (
    "ingestion dbt quality sequences feature_repo training serving dags local tests/e2e tests/support config storage privacy console "
    "requirements.lock"
)


@cache
def code() -> str:
    """A hash of all the code that runs, committed or not."""
    found = hashlib.sha256()
    for name in CODE.split():
        files = [ROOT / name] if (ROOT / name).is_file() else sorted((ROOT / name).rglob("*"))
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                found.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return found.hexdigest()[:16]


@cache
def inputs() -> str:
    """A hash of the logs and settings that are worked on."""
    files = sorted(LOGS.glob("*")) if LOGS.is_dir() else []
    hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()]
    return hashlib.sha256(" ".join([*hashes, RECIPE, str(ROWS)]).encode()).hexdigest()[:16]


def key() -> dict[str, str]:
    """What a result is good for."""
    return {"code": code(), "inputs": inputs()}


def read(path: Path) -> dict[str, Any]:
    """A JSON file's content; empty where there is none."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def write(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.writing")
    draft.write_text(json.dumps(content, indent=2) + "\n")
    draft.replace(path)


def report(name: str, asked: str, measured: object) -> None:
    """Notes what was asked and what was measured, in place of what was noted under that name before."""
    content = read(REPORT)
    results = {**content.get("results", {}), name: {"asked": asked, "measured": measured, **key()}}
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    revision = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    write(
        REPORT, {"machine": machine, "revision": revision, "recipe": RECIPE, "rows": ROWS or "all", "results": results}
    )


def _marker(test: pytest.Item) -> Path:
    return HOME / "passed" / f"{re.sub('[^a-zA-Z0-9]+', '_', test.nodeid.removesuffix(']'))}.json"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what passed before, ahead of the fixtures that it would need."""
    before = read(_marker(item))
    if before and {name: before[name] for name in key()} == key():
        pytest.skip(f"passed at {before['at']} with this code and these inputs")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Marks what has passed."""
    outcome = yield
    if outcome.when == "call" and outcome.passed:
        write(_marker(item), {**key(), "at": datetime.now(UTC).isoformat(timespec="seconds")})
    return outcome


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints asked and measured beside each other."""
    results = read(REPORT).get("results", {})
    terminalreporter.section(f"asked and measured ({REPORT})")
    for name, row in results.items():
        stale = "" if {one: row[one] for one in key()} == key() else "   [other code or inputs]"
        terminalreporter.write_line(f"{name:<44} {row['asked']:<34} {row['measured']}{stale}")
