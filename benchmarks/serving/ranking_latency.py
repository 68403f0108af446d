"""Latency of one ranking request: 300 candidates, a user with 200 recent listened events and 2,000 plays to search.

Measures `FittedRanker.score`, features included, on one thread: p50 in ms elapsed, and (`…_core`) of processor time,
which other load affects less. `…_floor` is the processor time of the matrix products and trees alone (`latency_floors`), and
`…_over_floor` the processor time in units of it; it must stay under 1.5. `rank_interest_evolution` (must stay under 40
ms) is compared with the same ranker with a step-by-step recurrence as in the paper, in which each candidate projects
every event again; the run checks that both give the same probabilities.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.result import Result, result_with_limit
from benchmarks.serving import latency_floors, recall_latency, synthetic_rankers
from training.data.user_batch import UserBatch
from training.ranking.fitted_ranker import FittedRanker
from training.ranking.interest_evolution.layers import AUGRU

CANDIDATES, EVENTS = 300, 200
USERS = 10
LIMITS_MS = {"target_attention": 5.0, "session_domains": 8.0}


def run(name: str, requests: int) -> list[Result]:
    """Return the p50 over `requests` requests, in ms, elapsed and of processor time."""
    users, items = _make_requests()
    ours = synthetic_rankers.make_ranker(name)
    sides = [ours, *([plain] if (plain := with_stepwise_recurrence(ours)) else [])]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        probabilities = [side.score(users[0], items[0]) for side in sides]
        for task, probability in probabilities[0].items():
            np.testing.assert_allclose(probabilities[-1][task], probability, atol=1e-5)
        elapsed, processor = _measure_medians(
            requests, [lambda turn, side=side: side.score(users[turn], items[turn]) for side in sides]
        )
        floor = _floor_ms(ours, users, items)
    finally:
        torch.set_num_threads(threads)
    latencies = [
        Result.from_values(result_name, "ms", ours_ms, "step by step", others_ms[0], lower_is_better=True)
        if plain
        else result_with_limit(result_name, "ms", ours_ms, LIMITS_MS[name])
        for result_name, (ours_ms, *others_ms) in ((f"rank_{name}", elapsed), (f"rank_{name}_core", processor))
    ]
    return latencies + latency_floors.floor_results(f"rank_{name}", processor[0], floor)


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


class StepwiseRecurrence(nn.Module):
    """AUGRU with one product per gate and step."""

    def __init__(self, recurrence: AUGRU) -> None:
        super().__init__()
        self.weights = recurrence

    def states(self, event_PBD: Tensor, scale_PBC: Tensor) -> Tensor:
        """Return the same as `AUGRU.states`."""
        (input_u, input_r, input_n), (state_n, state_u, state_r) = self.weights.input_3DD, self.weights.state_3DD
        bias_u, bias_r, bias_n = self.weights.bias_31D
        state_BCD = event_PBD.new_zeros(*scale_PBC.shape[1:], event_PBD.shape[-1])
        states = []
        for event_BD, scale_BC in zip(event_PBD, scale_PBC, strict=True):
            event_BCD = event_BD.unsqueeze(1).expand_as(state_BCD)
            update_BCD = torch.sigmoid(event_BCD @ input_u + state_BCD @ state_u + bias_u)
            reset_BCD = torch.sigmoid(event_BCD @ input_r + state_BCD @ state_r + bias_r)
            new_BCD = torch.tanh(event_BCD @ input_n + reset_BCD * (state_BCD @ state_n) + bias_n)
            update_BCD = scale_BC.unsqueeze(-1) * update_BCD
            state_BCD = (1 - update_BCD) * state_BCD + update_BCD * new_BCD
            states.append(state_BCD)
        return torch.stack(states)

    def last_state(self, event_PBD: Tensor, scale_PBC: Tensor) -> Tensor:
        """Return the same as `AUGRU.last_state`."""
        return self.states(event_PBD, scale_PBC)[-1]


def with_stepwise_recurrence(ranker: FittedRanker) -> FittedRanker | None:
    """Return the ranker with stepwise recurrences; None if it has no recurrence."""
    model = copy.deepcopy(ranker.model)
    recurrences = [name for name, module in model.named_children() if isinstance(module, AUGRU)]
    for name in recurrences:
        setattr(model, name, StepwiseRecurrence(getattr(model, name)))
    return FittedRanker(model, ranker.features, ranker.resolved_config, {}) if recurrences else None


def _measure_medians(count: int, works: list[Callable[[int], Any]]) -> tuple[list[float], list[float]]:
    """Return the p50 of each alternative in ms, elapsed and of processor time, in turns; the first tenth is warm-up."""
    taken = np.zeros((2, len(works), count + -(-count // 10)))
    for turn in range(taken.shape[2]):
        for number, work in enumerate(works):
            began = time.perf_counter(), time.thread_time()
            work(turn % USERS)
            taken[:, number, turn] = time.perf_counter() - began[0], time.thread_time() - began[1]
    elapsed, processor = np.median(taken[:, :, -count:], axis=2) * 1000
    return elapsed.tolist(), processor.tolist()
