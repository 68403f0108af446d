"""Linear transitions, compared with a ridge regression by hand, and blended search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from training.data.training_data import TrainingData
from training.engine.config_io import change_config
from training.index.cold_start import ColdStartIndex
from training.index.exact import ExactIndex
from training.recall.flat_histories import Histories
from training.recall.realtime.blended_search import BlendedSearch
from training.recall.realtime.channel import Realtime
from training.recall.realtime.config import TransitionConfig
from training.recall.realtime.transitions import Transitions, fit_transitions

NUMBERS = TransitionConfig(
    ridge=0.7, consistency_weight=0.3, past_decay=0.4, future_decay=0.9, split_age_decay=0.3, query_decay=0.5
)
LENGTH = 4


def histories(seed: int = 0, users: int = 12) -> tuple[Histories, list[list[int]]]:
    """Random histories of items 3, 6, 9, …, some of them repeated."""
    generator = np.random.default_rng(seed)
    lists = [(3 * generator.integers(1, 9, size)).tolist() for size in generator.integers(0, 9, users)]
    counts = [len(items) for items in lists]
    return Histories(np.array([item for items in lists for item in items]), np.append(0, np.cumsum(counts))), lists


def by_hand(lists: list[list[int]], items: list[int]) -> np.ndarray:
    """Weights of a regression with one row per whole history and one per split of a history."""
    input_rows, target_rows = [], []
    whole = np.array([[float(item in mine) for item in items] for mine in lists])
    for mine in lists:
        for split in range(1, len(mine)):
            past, future = np.zeros(len(items)), np.zeros(len(items))
            for age, item in enumerate(reversed(mine[:split][-LENGTH:])):
                past[items.index(item)] += np.exp(-NUMBERS.past_decay * age)
            for ahead, item in enumerate(mine[split:][:LENGTH]):
                future[items.index(item)] += np.exp(-NUMBERS.future_decay * ahead)
            weight = np.exp(-NUMBERS.split_age_decay * (len(mine) - 1 - split)) ** 0.5
            input_rows.append(weight * past)
            target_rows.append(weight * future)
    S, T = np.array(input_rows), np.array(target_rows)
    off_diagonal = whole.T @ whole - np.diag((whole.T @ whole).diagonal())
    gram = NUMBERS.consistency_weight * whole.T @ whole + (1 - NUMBERS.consistency_weight) * S.T @ S
    ridge = NUMBERS.ridge * gram.diagonal().mean() * np.eye(len(items))
    return np.linalg.solve(
        gram + ridge, NUMBERS.consistency_weight * off_diagonal + (1 - NUMBERS.consistency_weight) * S.T @ T
    )


def test_weights_equal_a_ridge_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.recall.realtime.transitions.SPLITS_PER_CHUNK", 7)
    known, lists = histories()
    found = fit_transitions(known, NUMBERS, LENGTH)
    assert found.item_I.tolist() == sorted({item for mine in lists for item in mine})
    np.testing.assert_allclose(found.weight_II, by_hand(lists, found.item_I.tolist()), atol=1e-5)


def test_scores_are_sums_of_weights_over_the_history(tmp_path: Path) -> None:
    known, _ = histories()
    transitions = fit_transitions(known, NUMBERS, LENGTH)
    items, item_N = transitions.item_I.tolist(), np.array([2, *transitions.item_I[1:].tolist(), 99])
    queries = Histories(np.array([items[2], 98, items[0], items[1]]), np.array([0, 3, 3, 4]))
    expected = np.zeros((3, len(item_N)))
    for column, item in enumerate(item_N.tolist()):
        if item in items:
            to = items.index(item)
            expected[0, column] = np.exp(-1.0) * transitions.weight_II[2, to] + transitions.weight_II[0, to]
            expected[2, column] = transitions.weight_II[1, to]
    np.testing.assert_allclose(transitions.scores(queries, item_N), expected, atol=1e-6)
    transitions.save(tmp_path)
    loaded = Transitions.load(tmp_path, NUMBERS)
    assert np.array_equal(loaded.scores(queries, item_N), transitions.scores(queries, item_N))


@pytest.mark.parametrize("threshold", [np.inf, 0.1, 99.0])
def test_blended_scores_are_sums_of_standardized_scores(threshold: float) -> None:
    known, _ = histories()
    transitions = fit_transitions(known, NUMBERS, LENGTH)
    generator = np.random.default_rng(2)
    warm, cold = np.arange(2, 30), np.array([40, 41])
    vectors = torch.from_numpy(generator.normal(size=(len(warm) + 2, 5)).astype(np.float32))
    index = ColdStartIndex(ExactIndex.of(warm, vectors[:-2]), ExactIndex.of(cold, vectors[-2:]))
    query = torch.from_numpy(generator.normal(size=(2, 5)).astype(np.float32))
    queries = Histories(np.array([3, 9, 12]), np.array([0, 2, 3]))
    excluded = np.array([[3, 5], [9, 0]])
    items_BK, scores_BK = BlendedSearch(index, transitions, 0.4).search_best(
        query, queries, 35, excluded, np.full(2, threshold)
    )
    for row in range(2):
        near = (vectors @ query[row]).numpy()
        near_warm = near[:-2]
        item = np.concatenate([warm, cold])
        is_in = np.concatenate([np.ones(len(warm), dtype=bool), near[-2:] >= threshold])
        item = item if threshold < np.inf else warm
        likely = transitions.scores(queries, item)[row]
        near = (near[: len(item)] - near_warm.mean()) / near_warm.std()
        score = near + 0.4 * (likely - likely.mean()) / likely.std()
        score[~is_in[: len(item)] | np.isin(item, excluded[row])] = -np.inf
        order = np.argsort(-score)[: np.isfinite(score).sum()]
        assert items_BK[row, : len(order)].tolist() == item[order].tolist()
        np.testing.assert_allclose(scores_BK[row, : len(order)], score[order], rtol=1e-4, atol=1e-4)
        assert (items_BK[row, len(order) :] == 0).all()


def test_parameters_and_weight_are_tuned_once(described_data: TrainingData, tmp_path: Path) -> None:
    config = change_config(
        Realtime.config("debug"), {"optimizer.steps": 2, "validation.validate_every": 2, "transitions.is_enabled": True}
    )
    channel = Realtime.fit(described_data, config, tmp_path / "first")
    resolved_config, results = channel.resolved_config, channel.measures()["transitions"]
    assert resolved_config.transitions.weight == max(results["weights"], key=results["weights"].__getitem__)
    assert resolved_config.transitions.parameters is not None and len(results["tried"]) > 1
    again = Realtime.fit(described_data, resolved_config, tmp_path / "again")
    assert again.resolved_config == resolved_config
    assert again.measures()["transitions"]["tried"] == []
    again.save(tmp_path)
    assert Realtime.load(tmp_path, described_data.vocabulary).transitions is not None
    again.transitions = None
    again.save(tmp_path)  # does not keep the transitions that are in the folder
    assert Realtime.load(tmp_path, described_data.vocabulary).transitions is None
