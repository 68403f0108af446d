"""Peak memory of a process, and reuse of freed memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

from config import settings

COUNT_PAGE_FAULTS = """
import resource, sys, torch
if sys.argv[1] == "retained":
    from training.process import retain_freed_memory
    assert retain_freed_memory()
def step():
    big = [torch.ones(1 << 20) for _ in range(4)]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _run(program: str, *arguments: str) -> int:
    command = [sys.executable, "-c", program, *arguments]
    return int(subprocess.run(command, cwd=settings.ROOT, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc's allocator")
def test_steps_reuse_freed_memory() -> None:
    # 16 MiB per step in pages of 4 KiB: 80,000 page faults in all if every step gets fresh memory from the system.
    assert _run(COUNT_PAGE_FAULTS, "retained") < _run(COUNT_PAGE_FAULTS, "default") / 10
