"""Resource usage of a process tree: memory shared right after a fork is counted once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.data import resource_usage
from benchmarks.data.resource_usage import ProcessSnapshot, total_resident_bytes

MIB = 2**20


def test_a_child_between_fork_and_exec_counts_once() -> None:
    java = ProcessSnapshot(1, ("java", "-Xmx4g"), 7 * MIB, 4 * MIB)
    dbt = ProcessSnapshot(0, ("dbt", "build"), 3 * MIB, MIB)
    assert total_resident_bytes({1: dbt, 2: java}) == 5 * MIB
    assert (
        total_resident_bytes(
            {1: dbt, 2: java, 3: ProcessSnapshot(2, java.command_line, java.virtual_bytes, java.resident_bytes)}
        )
        == 5 * MIB
    )
    assert total_resident_bytes({1: dbt, 2: java, 3: ProcessSnapshot(2, ("chmod",), MIB, MIB)}) == 6 * MIB
    # A forked worker: its virtual memory differs soon, so it counts
    assert (
        total_resident_bytes({1: dbt, 2: java, 3: ProcessSnapshot(2, java.command_line, 8 * MIB, 4 * MIB)}) == 9 * MIB
    )


def test_memory_of_all_processes_is_summed(tmp_path: Path) -> None:
    holds = "held = bytearray(64 * 2**20); import time; time.sleep(1)"
    both = f"import subprocess, sys; one = subprocess.Popen([sys.executable, '-c', {holds!r}]); {holds}; one.wait()"
    taken = resource_usage.run([sys.executable, "-c", both], dict(os.environ), tmp_path / "log")
    assert 128 * MIB < taken.memory < 256 * MIB
    assert taken.seconds > 1
