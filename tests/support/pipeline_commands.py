"""Run pipeline commands in tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from config import settings
from local.environment import environment

FEAST = (sys.executable, "-m", "sequences.feast_command")
"""Words to put before Feast's arguments; starts faster than the program `feast`."""


def command(here: settings.Settings, *words: str) -> str:
    """Output of a command in the environment of the settings, which must succeed."""
    return run_to_end([str(Path(sys.executable).parent / words[0]), *words[1:]], environment(here))


def run_to_end(words: Sequence[str], variables: Mapping[str, str]) -> str:
    """Output of a command with these environment variables, which must succeed."""
    done = subprocess.run(words, cwd=settings.ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
    return done.stdout
