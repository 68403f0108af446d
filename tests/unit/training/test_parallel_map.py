"""Results are the same and in order for any number of processes."""

from __future__ import annotations

import os

import pytest
import torch

from training.process import MIN_PIECES_TO_FORK, parallel_map

WEIGHT = torch.arange(12.0).reshape(3, 4)


def work(piece: int) -> tuple[int, list[float], int]:
    return piece, (WEIGHT @ torch.full((4,), float(piece))).tolist(), os.getpid()


@pytest.mark.parametrize("processes", [1, 2, None])
def test_results_are_in_order(processes: int | None) -> None:
    pieces = range(MIN_PIECES_TO_FORK * 2)
    results = list(parallel_map(work, pieces, "test", processes))
    assert [result[:2] for result in results] == [work(piece)[:2] for piece in pieces]
    assert (os.getpid() in {result[2] for result in results}) == (processes == 1 or os.cpu_count() == 1)
