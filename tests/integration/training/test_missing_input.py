"""Training commands without input end with one error message."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config import settings
from training.engine.workspace import MissingInput, Workspace


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


def test_marts_of_an_earlier_version_are_reported_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    (tmp_path / "marts").mkdir()
    for mart in ("plays", "train_cuts"):
        (tmp_path / "marts" / f"{mart}.parquet").touch()
    with pytest.raises(MissingInput, match=r"no mart time_split in .*; run `dbt build"):
        Workspace.open("2026-07-01")
