"""Training batches: every case once per epoch, every batch in order."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from recommender.ranking.features.ranking_features import RankingFeatures
from recommender.ranking.features.track_statistics import COUNTS, TrackStatistics
from recommender.ranking.registry import RANKERS
from training.data.offline_features import OfflineFeatures
from training.data.training_data import TrainingData
from training.ranking.case_batches import CaseBatches
from training.ranking.labeled_cases import ranking_cases
from training.recipes import config_of
from training.trainer import BATCHES_AHEAD, prefetch

BATCH = 16


@pytest.fixture(scope="module")
def batches(data: TrainingData) -> CaseBatches:
    """Batches of all ranking cases."""
    statistics = TrackStatistics(np.zeros(0, dtype=np.int64), np.zeros((0, len(COUNTS)), dtype=np.float32))
    features = RankingFeatures.from_vocabulary(
        data.vocabulary, statistics, replace(config_of(RANKERS["sum_pooling"], "debug").features, hard_search=True)
    )
    return CaseBatches(ranking_cases(data), OfflineFeatures(data), "sum_pooling", features)


def test_every_case_is_in_one_batch_of_an_epoch(batches: CaseBatches) -> None:
    rows = [batches.training_rows(step, BATCH, 3) for step in range(-(-len(batches) // BATCH))]
    assert sorted(np.concatenate(rows).tolist()) == list(range(len(batches)))


def batch_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_prefetched_batches_are_in_order_and_limited() -> None:
    make = Mock(side_effect=int)
    for place, number in enumerate(prefetch(make, range(3, 20))):
        assert number == 3 + place and make.call_count <= place + 1 + BATCHES_AHEAD
    assert make.call_count == 17 and not batch_threads()


def test_errors_and_stopping_early_end_the_thread() -> None:
    batches = prefetch(lambda step: 1 // (1 - step), range(2))
    assert next(batches) == 1
    with pytest.raises(ZeroDivisionError):
        next(batches)
    assert not batch_threads()
    batches = prefetch(int, range(1000))
    next(batches)
    assert batch_threads()
    batches.close()
    assert not batch_threads()


@pytest.mark.parametrize("processes", [1, 2])
def test_precomputed_dense_features_equal_computed_ones(
    data: TrainingData, batches: CaseBatches, processes: int
) -> None:
    features = replace(batches.features, reads=replace(batches.features.reads, plays=6))
    build = partial(CaseBatches, batches.cases, OfflineFeatures(data), "sum_pooling", features)
    caching, rows = build(), np.arange(3, 40)[::-1]
    caching.precompute_dense_features(processes)
    cached, computed, dense_only = caching[rows], build()[rows], caching.dense_only_batch(rows)
    for left, right in (
        (cached.users, computed.users),
        (cached.users.plays, computed.users.plays),
        (cached.candidates, computed.candidates),
    ):
        for name, tensor in vars(left).items():
            if isinstance(tensor, torch.Tensor):
                assert torch.equal(tensor, getattr(right, name)), name
    for part, whole, numbers in (
        (dense_only.users, cached.users, ("context_BU", "hour_B", "weekday_B", "scene_B")),
        (dense_only.candidates, cached.candidates, ("features_BCF", "matches_BCM")),
    ):
        assert all(torch.equal(getattr(part, name), getattr(whole, name)) for name in numbers)
    assert dense_only.users.plays.track_BL.shape == dense_only.users.recent.track_BL.shape == (len(rows), 0)
    assert not dense_only.candidates.track_BC.any() and torch.equal(dense_only.labels_BT, cached.labels_BT)
