"""Latency of the recall of one request with all six channels, sequentially, on one thread.

A synthetic catalog and networks of a recipe's sizes (`synthetic_channels`), users with 2,000 plays, no training.
Results of `run(name, recipe, limit)(tracks)`, p50 in ms:

    recall_50k              50,000 tracks, recipe `small`, exact search; must stay under 6
    recall_1m               1,000,000 tracks, recipe `full`, approximate search; must stay under 11
    <name>_processor        the same in the thread's processor time, which other load affects less
    <name>_floor            processor time of the matrix products and index searches alone (`latency_floors`)
    <name>_over_floor       <name>_processor in units of the floor; must stay under 1.5
    <name>_<channel>        processor time of each channel
    <name>_found_<channel>  share of the exact first 200 that the channel's index finds
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import faiss
import torch
from threadpoolctl import threadpool_limits

from recommender.recall.channel import RecallChannel
from recommender.slate.scene_settings import CANDIDATES_PER_CHANNEL
from recommender.user.user_batch import UserBatch
from research.result import Result, result_with_limit
from research.serving import latency_floors
from research.serving.synthetic_channels import SyntheticWorld

USERS, ROUNDS = 20, 3

Seconds = dict[str, list[float]]
Measured = TypeVar("Measured")


def run(name: str, recipe: str, limit_ms: float) -> Callable[[int], list[Result]]:
    """Return a benchmark whose argument is the number of tracks."""

    return lambda tracks: with_one_thread(lambda: _measure_channels(name, SyntheticWorld(tracks, recipe), limit_ms))


def floor_ms(tracks: int, recipe: str) -> float:
    """Return the floor of the recall of a request."""
    return with_one_thread(lambda: _floor_ms(SyntheticWorld(tracks, recipe)))


def with_one_thread(work: Callable[[], Measured]) -> Measured:
    """Return the result of `work`, run on one thread."""
    threads = torch.get_num_threads(), faiss.omp_get_max_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            return work()
    finally:
        torch.set_num_threads(threads[0])
        faiss.omp_set_num_threads(threads[1])


def _floor_ms(world: SyntheticWorld) -> float:
    channels, users = world.channels(), world.requests(USERS, seed=2)
    return latency_floors.measure_floor_ms([partial(_recall_all, channels, users.take([row])) for row in range(USERS)])


def _measure_channels(name: str, world: SyntheticWorld, limit_ms: float) -> list[Result]:
    channels = world.channels()
    users = world.requests(USERS, seed=2)
    requests = [users.take([row]) for row in range(USERS)]
    wall, processor = _measure_seconds(channels, requests)
    floor = latency_floors.measure_floor_ms([partial(_recall_all, channels, user.take([0])) for user in requests])
    return [
        result_with_limit(name, "ms", _total_ms(wall), limit_ms),
        result_with_limit(f"{name}_processor", "ms", _total_ms(processor), limit_ms),
        *latency_floors.floor_results(name, _total_ms(processor), floor),
        *(
            Result.from_values(f"{name}_{channel}", "ms", statistics.median(seconds) * 1000)
            for channel, seconds in processor.items()
        ),
    ]


def _measure_seconds(channels: dict[str, RecallChannel], requests: list[UserBatch]) -> tuple[Seconds, Seconds]:
    """Return the seconds of each request by channel, elapsed and of processor time, without the warm-up round."""
    wall: Seconds = {name: [] for name in channels}
    processor: Seconds = {name: [] for name in channels}
    for turn in range(ROUNDS + 1):
        for user in requests:
            request = user.take([0])  # a copy with an empty cache, so each round computes shared inputs again
            for name, channel in channels.items():
                began, worked = time.perf_counter(), time.thread_time()
                channel.recall(request, CANDIDATES_PER_CHANNEL)
                if turn:
                    wall[name].append(time.perf_counter() - began)
                    processor[name].append(time.thread_time() - worked)
    return wall, processor


def _recall_all(channels: dict[str, RecallChannel], request: UserBatch) -> None:
    for channel in channels.values():
        channel.recall(request, CANDIDATES_PER_CHANNEL)


def _total_ms(seconds: Seconds) -> float:
    return statistics.median(map(sum, zip(*seconds.values(), strict=True))) * 1000
