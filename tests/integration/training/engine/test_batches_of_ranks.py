"""Processes of a group split every batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from config import settings

RANK = """
import sys, torch
from torch.utils.data import DataLoader
from training.engine import distributed
from training.engine.prefetch import StepBatchDataset
torch.distributed.init_process_group("gloo", init_method="file://" + sys.argv[1], rank=int(sys.argv[2]), world_size=2)
batches = StepBatchDataset(lambda n: [10 * n, 10 * n + 1, 10 * n + 2][distributed.rank_slice(3)], 2)
print(distributed.rank_and_world_size(), list(DataLoader(batches, batch_size=None)))
"""


def test_processes_of_a_group_split_batches(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(tmp_path / "group"), str(rank)],
            cwd=settings.ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    found = [rank.communicate(timeout=120)[0].splitlines()[-1] for rank in processes]
    assert found == ["(0, 2) [[0], [10]]", "(1, 2) [[1, 2], [11, 12]]"]
