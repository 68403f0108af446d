"""Training commands without input end with one error message."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config import settings


@pytest.mark.parametrize("command", [["prepare"], ["train", "channel", "popularity"], ["evaluate"]])
def test_missing_marts_are_reported_with_the_remedy(tmp_path: Path, command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"training.{command[0]}", *command[1:]],
        cwd=settings.ROOT,
        env={**os.environ, "SEGUE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: no mart plays in {tmp_path / 'marts'}; run `dbt build")
    assert "Traceback" not in done.stderr
