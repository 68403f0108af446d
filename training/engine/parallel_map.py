"""The pieces of a long measurement, shared out over the cores: processes that are forked, so that what was loaded is
theirs at once.

Knows nothing about what is measured.
"""

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

MIN_PIECES_TO_FORK = 8

_WORK: list[Callable[[Any], Any]] = []
"""What a forked process does; work that knows much is handed on by the fork, not as a message."""


def parallel_map(
    work: Callable[[Piece], Result], pieces: Sequence[Piece], what: str, processes: int | None = None
) -> Iterator[Result]:
    """`work(piece)` for every piece, in their order; one bar of progress, named `what`.

    By `processes` at a time (None: as many as there are cores, where a fork is safe and the pieces are worth one). What
    `work` reads must have been read before, or every process reads it again.

    Raises:
        BrokenProcessPool: a process was killed, for want of memory perhaps.
    """
    if processes is None:
        is_worth_it = sys.platform == "linux" and len(pieces) >= MIN_PIECES_TO_FORK
        processes = (os.cpu_count() or 1) if is_worth_it else 1
    if processes == 1:
        yield from tqdm(map(work, pieces), total=len(pieces), desc=what, mininterval=1)
        return
    with ProcessPoolExecutor(processes, get_context("fork"), initializer=_init_worker, initargs=(work,)) as pool:
        yield from tqdm(pool.map(_run_piece, pieces), total=len(pieces), desc=what, mininterval=1)


def _init_worker(work: Callable[[Any], Any]) -> None:
    _WORK.append(work)
    # The threads that torch had do not live in a fork, and the cores are taken by the other processes; so it is for numpy.
    torch.set_num_threads(1)
    threadpool_limits(1, "blas")


def _run_piece(piece: Any) -> Any:
    return _WORK[0](piece)
