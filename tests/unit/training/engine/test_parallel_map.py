"""Shared out over processes or not, the pieces give the same results in the same order."""

from __future__ import annotations

import os
import signal
from concurrent.futures.process import BrokenProcessPool

import pytest
import torch

from training.engine.parallel_map import MIN_PIECES_TO_FORK, parallel_map

WEIGHT = torch.arange(12.0).reshape(3, 4)


def work(piece: int) -> tuple[int, list[float], int]:
    return piece, (WEIGHT @ torch.full((4,), float(piece))).tolist(), os.getpid()


@pytest.mark.parametrize("processes", [1, 2, None])
def test_results_come_in_the_order_of_the_pieces(processes: int | None) -> None:
    pieces = range(MIN_PIECES_TO_FORK * 2)
    found = list(parallel_map(work, pieces, "test", processes))
    assert [one[:2] for one in found] == [work(piece)[:2] for piece in pieces]
    assert (os.getpid() in {one[2] for one in found}) == (processes == 1 or os.cpu_count() == 1)


def test_what_was_made_here_is_known_there() -> None:
    known = {"at": torch.tensor([7])}
    assert list(parallel_map(lambda piece: int(known["at"]) + piece, range(3), "test", 2)) == [7, 8, 9]


def test_nothing_is_made_of_nothing() -> None:
    assert list(parallel_map(work, [], "test")) == []


def test_an_error_is_the_callers() -> None:
    def fails(piece: int) -> int:
        raise ValueError(f"piece {piece}")

    with pytest.raises(ValueError, match="piece 0"):
        list(parallel_map(fails, range(3), "test", 2))


def test_a_killed_process_is_no_silence() -> None:
    def dies(piece: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return piece

    with pytest.raises(BrokenProcessPool):
        list(parallel_map(dies, range(3), "test", 2))
