"""Commands of the services report an address that needs the opt-in."""

from __future__ import annotations

import subprocess
import sys

import pytest

from config import settings

OPT_IN = "SEGUE_ALLOW_REMOTE"


@pytest.mark.parametrize("module", ["serving", "console.server", "local.wrappers.mlflow_app"])
def test_command_fails_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path, module: str) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setenv("SEGUE_HOST", "0.0.0.0")
    done = subprocess.run(
        [sys.executable, "-m", module], cwd=settings.ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode != 0 and OPT_IN in done.stderr and "Traceback" not in done.stderr
