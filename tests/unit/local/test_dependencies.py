"""Verification of installed archives against locked hashes, and the audit of locked packages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config import settings
from local.dependencies import audit
from local.dependencies.verify_archives import find_wrong_archives, read_locked_hashes

GOOD, OTHER, BAD = "a" * 64, "b" * 64, "c" * 64
LOCK = f"""# comment
ruamel-yaml==0.19.1 \\
    --hash=sha256:{GOOD} \\
    --hash=sha256:{OTHER}
six==1.17.0 \\
    --hash=sha256:{OTHER}
"""


def installed(name: str, sha256: str | None) -> dict[str, Any]:
    archive = {"hashes": {"sha256": sha256}} if sha256 else {}
    return {"download_info": {"archive_info": archive}, "metadata": {"name": name, "version": "1"}}


PROJECT = {"download_info": {"dir_info": {"editable": True}}, "metadata": {"name": "segue", "version": "0.1.0"}}


def test_each_archive_of_the_lock_is_accepted() -> None:
    locked = read_locked_hashes(LOCK)
    assert locked == {"ruamel-yaml": {GOOD, OTHER}, "six": {OTHER}}
    report = {
        "install": [PROJECT, installed("ruamel.yaml", GOOD), installed("Ruamel_Yaml", OTHER), installed("six", OTHER)]
    }
    assert find_wrong_archives(report, locked) == ([], [])


def test_other_archives_and_missing_hashes_are_wrong() -> None:
    report = {
        "install": [
            installed("six", GOOD),
            installed("ruamel.yaml", BAD),
            installed("six", None),
            installed("torch", BAD),
        ]
    }
    wrong, unlocked = find_wrong_archives(report, read_locked_hashes(LOCK))
    assert wrong == [f"six 1 ({GOOD})", f"ruamel.yaml 1 ({BAD})", "six 1 (no hash)"]
    assert unlocked == ["torch 1"]


@pytest.mark.parametrize(("sha256", "code"), [(OTHER, 0), (BAD, 1)])
def test_the_command_runs_without_installed_packages(tmp_path: Path, sha256: str, code: int) -> None:
    (tmp_path / "report.json").write_text(json.dumps({"install": [installed("six", sha256), installed("torch", BAD)]}))
    (tmp_path / "lock").write_text(LOCK)
    script = settings.ROOT / "local" / "dependencies" / "verify_archives.py"
    command = [sys.executable, "-I", "-S", str(script), str(tmp_path / "report.json"), str(tmp_path / "lock")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code and "torch 1" in done.stdout
    assert (f"six 1 ({BAD})" in done.stderr) == (code == 1)


VULNERABILITY = {"id": "PYSEC-1", "fix_versions": ["2"]}
SKIPPED = {"name": "six", "skip_reason": "Dependency not found on PyPI and could not be audited: six (1.17.0)"}


@pytest.mark.parametrize(
    ("packages", "code", "text"),
    [
        ([{"name": "six", "version": "1", "vulns": []}], 0, "0 known vulnerabilities in 1 audited packages"),
        ([{"name": "six", "version": "1", "vulns": [VULNERABILITY]}], 1, "six 1: PYSEC-1, fixed in 2"),
        ([SKIPPED], 3, "NOT AUDITED: 1 of 1 packages, for example because: Dependency not found"),
        ([SKIPPED, {"name": "a", "version": "1", "vulns": [VULNERABILITY]}], 1, "NOT AUDITED: 1 of 2 packages"),
    ],
)
def test_packages_that_the_service_does_not_know_are_not_audited(packages: list[Any], code: int, text: str) -> None:
    found, description = audit.describe({"dependencies": packages})
    assert found == code and text in description


def test_unreachable_service_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_text("six==1.17.0\n")
    (tmp_path / "pip-audit").write_text("#!/bin/sh\necho 'ConnectionError: name or service not known' >&2\nexit 1\n")
    (tmp_path / "pip-audit").chmod(0o755)
    command = ["-m", "local.dependencies.audit", str(tmp_path / "pip-audit"), str(tmp_path / "requirements.lock")]
    done = subprocess.run([sys.executable, *command], cwd=settings.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == audit.NOT_AUDITED
    assert "NOT AUDITED" in done.stderr and "name or service not known" in done.stderr


def test_torch_is_audited_at_its_installed_version() -> None:
    pins = audit.pinned_requirements("# comment\nsix==1.17.0\ntorch>=2.13,<2.14\n", "2.13.0+cpu")
    assert pins == "six==1.17.0\ntorch==2.13.0\n"
