"""Latency of one ranking request: 300 candidates, a user with 200 recent listened events and 2,000 plays to search.

Measures `FittedRanker.score`, features included, on one thread: p50 in ms elapsed, and (`…_core`) of processor time,
which other load affects less. `…_floor` is the processor time of the matrix products and trees alone (`latency_floors`), and
`…_over_floor` the processor time in units of it; it must stay under 1.5.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.ranking.fitted_ranker import FittedRanker
from recommender.user.user_batch import UserBatch
from research.result import Result, result_with_limit
from research.serving import latency_floors, recall_latency, synthetic_rankers

CANDIDATES, EVENTS = 300, 200
USERS = 10
LIMITS_MS = {"target_attention": 5.0, "interest_evolution": 40.0, "session_domains": 8.0}


def run(name: str, requests: int) -> list[Result]:
    """Return the p50 over `requests` requests, in ms, elapsed and of processor time."""
    ranker, (users, items) = synthetic_rankers.make_ranker(name), _make_requests()

    def measure() -> list[Result]:
        elapsed, processor = _measure_p50s(requests, lambda turn: ranker.score(users[turn], items[turn]))
        return [
            result_with_limit(f"rank_{name}", "ms", elapsed, LIMITS_MS[name]),
            result_with_limit(f"rank_{name}_core", "ms", processor, LIMITS_MS[name]),
            *latency_floors.floor_results(f"rank_{name}", processor, _floor_ms(ranker, users, items)),
        ]

    return recall_latency.with_one_thread(measure)


def floor_ms(name: str) -> float:
    """Return the floor of a ranking request."""
    return recall_latency.with_one_thread(lambda: _floor_ms(synthetic_rankers.make_ranker(name), *_make_requests()))


def _make_requests() -> tuple[list[UserBatch], list[NDArray[np.int64]]]:
    random = np.random.default_rng(0)
    users = [synthetic_rankers.make_user_batch(random, 1, EVENTS) for _ in range(USERS)]
    return users, [synthetic_rankers.sample_tracks(random, 1, CANDIDATES) for _ in range(USERS)]


def _floor_ms(ranker: FittedRanker, users: list[UserBatch], items: list[NDArray[np.int64]]) -> float:
    return latency_floors.measure_floor_ms(
        [partial(ranker.score, *request) for request in zip(users, items, strict=True)]
    )


def _measure_p50s(count: int, work: Callable[[int], Any]) -> tuple[float, float]:
    """Return the p50 of the work in ms, elapsed and of processor time; the first tenth is warm-up."""
    taken = np.zeros((count + -(-count // 10), 2))
    for turn in range(len(taken)):
        began = time.perf_counter(), time.thread_time()
        work(turn % USERS)
        taken[turn] = time.perf_counter() - began[0], time.thread_time() - began[1]
    elapsed, processor = np.median(taken[-count:], axis=0) * 1000
    return float(elapsed), float(processor)
