"""Parallel map over forked processes, which share everything that was loaded before the fork."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

Piece = TypeVar("Piece")
Result = TypeVar("Result")

MIN_PIECES_TO_FORK = 4

_WORK: list[Callable[[Any], Any]] = []  # the function of a forked process; inherited by the fork, never pickled


def parallel_map(
    work: Callable[[Piece], Result], pieces: Sequence[Piece], description: str, processes: int | None = None
) -> Iterator[Result]:
    """`work(piece)` for every piece, in order, with one progress bar.

    Args:
        work: The function. Data that it reads must be loaded beforehand, or every process loads it again.
        pieces: Its arguments, one call each.
        description: Label of the progress bar.
        processes: Number of processes; None uses all cores on Linux if there are MIN_PIECES_TO_FORK pieces or more,
            else one. With one process everything runs in this process.

    Raises:
        BrokenProcessPool: a process was killed, for example for lack of memory.
    """
    if processes is None:
        is_worth_it = sys.platform == "linux" and len(pieces) >= MIN_PIECES_TO_FORK
        processes = (os.cpu_count() or 1) if is_worth_it else 1
    if processes == 1:
        yield from tqdm(map(work, pieces), total=len(pieces), desc=description, mininterval=1)
        return
    with ProcessPoolExecutor(processes, get_context("fork"), initializer=_init_worker, initargs=(work,)) as pool:
        yield from tqdm(pool.map(_run_piece, pieces), total=len(pieces), desc=description, mininterval=1)


def _init_worker(work: Callable[[Any], Any]) -> None:
    _WORK.append(work)
    # The thread pools of torch and numpy do not survive a fork, and the other processes occupy the cores.
    torch.set_num_threads(1)
    threadpool_limits(1, "blas")


def _run_piece(piece: Any) -> Any:
    return _WORK[0](piece)
