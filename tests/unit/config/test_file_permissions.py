"""Files that Segue and its child processes create are not accessible for other users of the machine."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from config import settings
from config.tool_environment import tool_environment
from local.home import restrict_access
from tests.support.pipeline_commands import run_to_end

CREATE = "umask 022; exec {python} -m local.environment sh -c 'mkdir {home}/folder; echo x > {home}/file; ( umask )'"


def modes(home: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}


def run_shell(command: str, home: Path) -> str:
    words = command.format(python=sys.executable, home=home)
    return run_to_end(["sh", "-c", words])


def test_child_processes_create_files_without_access_for_others(tmp_path: Path) -> None:
    assert int(run_shell(CREATE, tmp_path), 8) == 0o027
    assert modes(tmp_path) == {"folder": 0o750, "file": 0o640}


def test_airflow_does_not_widen_the_modes_of_task_logs() -> None:
    variables = tool_environment(settings.load_settings())
    prefix = "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW"
    assert variables[f"{prefix}_FILE_PERMISSIONS"] == "0o640" and variables[f"{prefix}_FOLDER_PERMISSIONS"] == "0o750"


@pytest.mark.parametrize(("before", "after"), [("000", 0o027), ("077", 0o077), ("002", 0o027), ("137", 0o137)])
def test_a_stricter_umask_is_kept(tmp_path: Path, before: str, after: int) -> None:
    assert int(run_shell(f"umask {before}; exec {{python}} -m local.environment sh -c umask", tmp_path), 8) == after


def test_an_open_home_of_an_earlier_version_is_closed(tmp_path: Path) -> None:
    for before, after in ((0o777, 0o750), (0o755, 0o750), (0o2775, 0o2750), (0o700, 0o700)):
        tmp_path.chmod(before)
        restrict_access(tmp_path)
        assert stat.S_IMODE(tmp_path.stat().st_mode) == after
