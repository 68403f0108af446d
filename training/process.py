"""Threads, memory and forked processes of a fit."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from config.settings import TrainingSettings


def configure_threads() -> int:
    """Set torch's thread count from `SEGUE_THREADS`, else `OMP_NUM_THREADS`, else all cores; retain freed memory.

    Concurrent fits must share the cores: two fits with a thread per core each take several times as long.

    Returns:
        The number of threads.

    Raises:
        SettingError: One of them is not a number of threads.
    """
    threads = TrainingSettings().threads
    torch.set_num_threads(threads)
    retain_freed_memory()
    return threads


TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's <malloc.h>
MAX_RETAINED_BYTES = 256 << 20
MAX_BLOCK_BYTES = 32 << 20  # upper limit that glibc accepts for MMAP_THRESHOLD; larger blocks are always unmapped


def peak_bytes() -> int:
    """Peak resident memory of this process in bytes: VmHWM, since `ru_maxrss` of a child process starts at the size of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) << 10


@cache
def retain_freed_memory() -> None:
    """Make glibc keep up to MAX_RETAINED_BYTES of freed blocks of up to MAX_BLOCK_BYTES each.

    Every training step frees tensors of some MiB and allocates the same again. By default glibc returns them to the
    system in between, and the page faults of fresh memory take a fifth of a step of `realtime` (docs/adr/0043).
    """
    glibc = ctypes.CDLL(None)
    glibc.mallopt(MMAP_THRESHOLD, MAX_BLOCK_BYTES)
    glibc.mallopt(TRIM_THRESHOLD, MAX_RETAINED_BYTES)


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
        processes: Number of processes; None uses all cores if there are MIN_PIECES_TO_FORK pieces or more, else one. With one
            process everything runs in this process.

    Raises:
        BrokenProcessPool: a process was killed, for example for lack of memory.
    """
    if processes is None:
        processes = (os.cpu_count() or 1) if len(pieces) >= MIN_PIECES_TO_FORK else 1
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
