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


def run_to_end(
    words: Sequence[str],
    variables: Mapping[str, str] | None = None,
    folder: Path = settings.ROOT,
    timeout_s: float | None = None,
) -> str:
    """Output of a command in a folder with these environment variables (default: the test's own), which must succeed."""
    done = subprocess.run(
        words, cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=timeout_s
    )
    assert done.returncode == 0, f"{words}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return done.stdout
