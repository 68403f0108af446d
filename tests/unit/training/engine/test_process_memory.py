"""Freed memory that stays."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, torch
if sys.argv[1] == "kept":
    from training.allocator import keep_freed_memory
    assert keep_freed_memory()
def step():
    big = [torch.ones(1 << 20) for _ in range(4)]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(way: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, way], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is asked")
def test_a_step_finds_the_memory_of_the_step_before() -> None:
    # Sixteen MiB a step, in pages of four KiB: 80,000 in all where each step asks the system anew.
    assert faults("kept") < faults("as it is") / 10
