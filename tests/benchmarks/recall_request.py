"""What the recall of one request takes with all six channels, one after the other, on one thread.

A made catalogue and made networks of a recipe's sizes (`made_channels`), listeners of 2,000 plays, no training. Figures,
p50 in ms, of `run(name, recipe, limit)(tracks)`:

    recall_50k              50,000 tracks, recipe `small`, whose search is exact; must stay under 10
    recall_1m               1,000,000 tracks, recipe `full`, whose search is approximate; must stay under 20
    <name>_<channel>        what of it each channel takes
    <name>_found_<channel>  share of the exact first 200 that the channel's index finds
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import faiss
import torch
from threadpoolctl import threadpool_limits

from tests.benchmarks.benchmark import Result, limited
from tests.benchmarks.made_channels import MadeWorld
from training.features import UserBatch
from training.fusion import RECALLED
from training.recall.channel import RecallChannel

LISTENERS, ROUNDS = 20, 3


def run(name: str, recipe: str, limit_ms: float) -> Callable[[int], list[Result]]:
    """A benchmark by the number of tracks."""

    def measured(tracks: int) -> list[Result]:
        threads = torch.get_num_threads(), faiss.omp_get_max_threads()
        torch.set_num_threads(1)
        try:
            with threadpool_limits(1):
                return _figures(name, MadeWorld(tracks, recipe), limit_ms)
        finally:
            torch.set_num_threads(threads[0])
            faiss.omp_set_num_threads(threads[1])

    return measured


def _figures(name: str, world: MadeWorld, limit_ms: float) -> list[Result]:
    channels = world.channels()
    users = world.requests(LISTENERS, seed=2)
    requests = [users.take([row]) for row in range(LISTENERS)]
    taken = _seconds(channels, requests)
    total_ms = statistics.median(map(sum, zip(*taken.values(), strict=True))) * 1000
    return [
        limited(name, "ms", total_ms, limit_ms),
        *(Result.of(f"{name}_{one}", "ms", statistics.median(each) * 1000) for one, each in taken.items()),
        *(Result.of(f"{name}_found_{one}", "of the best", share) for one, share in world.found.items()),
    ]


def _seconds(channels: dict[str, RecallChannel], requests: list[UserBatch]) -> dict[str, list[float]]:
    """Of each request by channel; the first round, which fills what is made once, is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in channels}
    for turn in range(ROUNDS + 1):
        for request in requests:
            for name, channel in channels.items():
                began = time.perf_counter()
                channel.recall(request, RECALLED)
                if turn:
                    taken[name].append(time.perf_counter() - began)
    return taken
