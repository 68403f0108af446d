"""Sharing out batches over workers and ranks: every case once an epoch, each batch in its place."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from config import settings
from tests.support.training.tiny_world import random_plays, write_marts
from training.data.feature_services import ServiceContract
from training.data.training_data import TrainingData
from training.data.user_batch import OfflineFeatures
from training.engine import distributed
from training.engine.prefetch import Prefetcher, StepBatchDataset
from training.ranking.case_batches import CaseBatches
from training.ranking.case_features import CaseFeatures
from training.ranking.cases import ranking_cases
from training.ranking.features.ranking_features import VIEWS, RankingFeatures
from training.ranking.features.track_statistics import COUNTS, TrackStatistics
from training.recipes import recipe

BATCH = 16


class Numbered(CaseBatches):
    """Case batches that tell which rows they are of."""

    def __getitem__(self, rows: Any) -> Any:
        return np.asarray(rows), super().__getitem__(rows)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """A tiny world: the views of the rankers, without a registry."""
    folder = write_marts(tmp_path_factory.mktemp("batches"), random_plays())
    return TrainingData(folder, "held_out", recipe("debug"), services={"any": ServiceContract(VIEWS)})


@pytest.fixture(scope="module")
def batches(data: TrainingData) -> Numbered:
    """The cases of the world."""
    statistics = TrackStatistics(np.zeros(0, dtype=np.int64), np.zeros((0, len(COUNTS)), dtype=np.float32))
    features = RankingFeatures.from_vocabulary(data.vocabulary, statistics, hard_search=True)
    return Numbered(ranking_cases(data), OfflineFeatures(data), "any", features)


def read(batches: Numbered, workers: int, first: int = 0) -> list[Any]:
    numbered = StepBatchDataset(lambda n: batches.training_batch(n, BATCH, 3), -(-len(batches) // BATCH), lambda: first)
    loader = DataLoader(
        numbered, batch_size=None, num_workers=workers, multiprocessing_context="fork" if workers else None
    )
    return list(loader)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_hand_on_the_batches_of_no_worker(batches: Numbered, workers: int) -> None:
    alone, shared = read(batches, 0), read(batches, workers)
    assert len(alone) == len(shared) > 2 * workers
    for (rows, batch), (other_rows, other) in zip(alone, shared, strict=True):
        np.testing.assert_array_equal(rows, other_rows)
        assert torch.equal(batch.labels_BT, other.labels_BT)
    assert sorted(np.concatenate([rows for rows, _ in alone]).tolist()) == list(range(len(batches)))


def as_rank(monkeypatch: pytest.MonkeyPatch, rank: int, of: int) -> None:
    monkeypatch.setattr(distributed, "rank_and_world_size", lambda: (rank, of))


@pytest.mark.parametrize(("of", "workers"), [(2, 0), (2, 2), (3, 1)])
def test_ranks_share_every_batch_of_an_epoch(
    batches: Numbered, of: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [rows.tolist() for rows, _ in read(batches, 0)]
    shared = []
    for rank in range(of):
        as_rank(monkeypatch, rank, of)
        shared.append([rows.tolist() for rows, _ in read(batches, workers)])
    assert [[row for part in step for row in part] for step in zip(*shared, strict=True)] == alone


def test_a_rank_without_a_row_has_one_without_a_label(
    data: TrainingData, batches: Numbered, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = CaseBatches(batches.cases, OfflineFeatures(data), "any", batches.features)
    (row,) = plain._rows(0, 1, 3)
    labels = []
    for rank in range(2):
        as_rank(monkeypatch, rank, 2)
        labels.append(plain.training_batch(0, 1, 3).labels_BT)
    assert labels[0].isnan().all() and torch.equal(labels[1], plain[[row]].labels_BT)


def test_a_resumed_fit_goes_on_with_its_step(batches: Numbered) -> None:
    whole, rest = read(batches, 0), read(batches, 2, 3)
    assert [rows.tolist() for rows, _ in rest] == [rows.tolist() for rows, _ in whole[3:]]


def batch_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "batches"]


def test_batches_made_ahead_are_the_same_in_order_and_no_further_ahead_than_said() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    taken = []
    for number in Prefetcher(numbers(), buffer_size=2):
        taken.append(number)
        # Taken, two in the queue, and one that waits for room in it
        assert len(made) <= len(taken) + 3
    assert taken == list(range(20))
    assert not batch_threads()


def test_an_error_in_the_making_is_raised_after_the_batches_before_it() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise LookupError("no such batch")

    batches = iter(Prefetcher(numbers()))
    assert next(batches) == 1
    with pytest.raises(LookupError, match="no such batch"):
        next(batches)


def test_whoever_stops_early_leaves_no_thread_behind() -> None:
    batches = iter(Prefetcher(iter(int, 1)))  # never ends
    next(batches)
    assert batch_threads()
    batches.close()
    assert not batch_threads()


RANK = """
import sys, torch
from torch.utils.data import DataLoader
from training import ranks
from training.batches import NumberedBatches
torch.distributed.init_process_group("gloo", init_method="file://" + sys.argv[1], rank=int(sys.argv[2]), world_size=2)
batches = NumberedBatches(lambda n: [10 * n, 10 * n + 1, 10 * n + 2][ranks.share(3)], 2)
print(ranks.rank_of_ranks(), list(DataLoader(batches, batch_size=None)))
"""


def test_processes_of_one_group_share_without_being_told(tmp_path: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(tmp_path / "group"), str(rank)],
            cwd=settings.ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    found = [rank.communicate(timeout=120)[0].splitlines()[-1] for rank in started]
    assert found == ["(0, 2) [[0], [10]]", "(1, 2) [[1, 2], [11, 12]]"]


@pytest.mark.parametrize("processes", [1, 2])
def test_numbers_made_once_are_the_numbers_made_anew(data: TrainingData, batches: Numbered, processes: int) -> None:
    made = partial(CaseBatches, batches.cases, OfflineFeatures(data), "any", replace(batches.features, plays=6))
    keeping, rows = made(), np.arange(3, 40)[::-1]
    keeping.precompute_dense_features(processes)
    kept, anew, alone = keeping[rows], made()[rows], keeping.dense_only_batch(rows)
    assert kept.users.plays is not None and anew.users.plays is not None and alone.users.plays is not None
    for one, other in (
        (kept.users, anew.users),
        (kept.users.plays, anew.users.plays),
        (kept.candidates, anew.candidates),
    ):
        for name, tensor in vars(one).items():
            if isinstance(tensor, torch.Tensor):
                assert torch.equal(tensor, getattr(other, name)), name
    for part, whole, numbers in (
        (alone.users, kept.users, ("context_BU", "hour_B", "weekday_B", "scene_B")),
        (alone.candidates, kept.candidates, ("features_BCF", "matches_BCM")),
    ):
        assert all(torch.equal(getattr(part, name), getattr(whole, name)) for name in numbers)
    assert alone.users.plays.track_BL.shape == alone.users.event_track_BL.shape == (len(rows), 0)
    assert not alone.candidates.track_BC.any() and torch.equal(alone.labels_BT, kept.labels_BT)


def test_numbers_of_too_few_cases_are_refused() -> None:
    with pytest.raises(ValueError, match="every case once"):
        CaseFeatures.collect(3, [tuple(np.zeros((2, 1), np.float32) for _ in range(3))])
