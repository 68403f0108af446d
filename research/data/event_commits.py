"""Commits of the event store by four processes, compared with bare fdatasync of as many processes in the same run."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from event_store.sqlite_stores import SqliteEventStore
from research.result import Result, result_with_limit

PROCESSES, BATCH = 4, 100
Commit = Callable[[int], None]


def run(commits: int) -> list[Result]:
    """Return rates and p99 of one event per report, and the rate in batches of 100; each process makes `commits` commits."""
    floor_rate, floor_p99 = _measure(_bare, commits)
    rate, p99 = _measure(partial(_store, 1), commits)
    batches, _ = _measure(partial(_store, BATCH), commits // 10)
    return [
        Result.from_values("event_commits", "events/s", rate, "0.6 of fdatasync", 0.6 * floor_rate),
        result_with_limit("event_commits_p99", "ms", p99 * 1000, 6 * floor_p99 * 1000),
        Result.from_values("event_commits_in_batches", "events/s", batches * BATCH, "required", 10_000),
    ]


def _measure(opened: Callable[[Path, int], Commit], commits: int) -> tuple[float, float]:
    """Commits per second of all processes together, and the 99th percentile of their seconds."""
    with tempfile.TemporaryDirectory() as folder, get_context("fork").Pool(PROCESSES) as pool:
        pool.map(abs, range(PROCESSES))  # starts the processes
        began = time.perf_counter()
        work = partial(_commit_all, opened, Path(folder), commits)
        seconds = np.concatenate(pool.map(work, range(PROCESSES), chunksize=1))
        return len(seconds) / (time.perf_counter() - began), float(np.quantile(seconds, 0.99))


def _commit_all(opened: Callable[[Path, int], Commit], folder: Path, commits: int, process: int) -> list[float]:
    commit, seconds = opened(folder, process), []
    for number in range(commits):
        began = time.perf_counter()
        commit(process * commits + number)
        seconds.append(time.perf_counter() - began)
    return seconds


def _bare(folder: Path, process: int) -> Commit:
    file = os.open(folder / str(process), os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def commit(number: int) -> None:
        os.write(file, b"x" * 300)
        os.fdatasync(file)

    return commit


def _store(size: int, folder: Path, process: int) -> Commit:
    store = SqliteEventStore(folder, lambda: time.time_ns() // 1000)

    def commit(number: int) -> None:
        now_us = time.time_ns() // 1000
        event: dict[str, Any] = {
            "user_id": f"u{number % 2000}",
            "target_type": "track",
            "target_id": "t1",
            "action": "click",
        }
        event |= {"occurred_at": now_us, "ended_at": now_us, "sequence_number": None, "behavior": "click"}
        store.append([event | {"event_id": f"{number}-{one}"} for one in range(size)])

    return commit
