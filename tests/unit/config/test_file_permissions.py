"""Files that Segue and its child processes create are not accessible for other users of the machine."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from local.home import restrict_access
from tests.support.pipeline_commands import run_to_end


@pytest.mark.parametrize(("before", "after"), [("000", 0o027), ("022", 0o027), ("077", 0o077), ("137", 0o137)])
def test_child_processes_create_no_files_with_access_for_others(before: str, after: int) -> None:
    command = f"umask {before}; exec {sys.executable} -m local.environment sh -c umask"
    assert int(run_to_end(["sh", "-c", command]), 8) == after


@pytest.mark.parametrize(
    ("before", "after"), [(0o777, 0o750), (0o755, 0o750), (0o2775, 0o2750), (0o700, 0o700)], ids=oct
)
def test_an_open_home_of_an_earlier_version_is_closed(tmp_path: Path, before: int, after: int) -> None:
    tmp_path.chmod(before)
    restrict_access(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == after
