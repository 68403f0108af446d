"""Comparison of two checkouts at a small size."""

import subprocess
import sys

from benchmarks.serving import compare_checkouts
from training.recall.registry import CHANNELS


def test_compare_checkouts_measures_both() -> None:
    command = [sys.executable, "-m", "benchmarks.serving.compare_checkouts", str(compare_checkouts.REPOSITORY)]
    command += ["--tracks", "3000", "--rounds", "1"]
    output = subprocess.run(
        command, cwd=compare_checkouts.REPOSITORY, text=True, capture_output=True, check=True
    ).stdout
    lines = output.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith(f"{compare_checkouts.REPOSITORY}: ")
        assert all(f"'{name}'" in line for name in CHANNELS)
