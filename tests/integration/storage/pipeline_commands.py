"""Runs pipeline commands in tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from config import settings
from local.environment import environment


def command(here: settings.Settings, *words: str) -> str:
    """Run a command in the environment of the settings and return its output."""
    program = str(Path(sys.executable).parent / words[0])
    done = subprocess.run(
        [program, *words[1:]], cwd=settings.ROOT, env=environment(here), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout
