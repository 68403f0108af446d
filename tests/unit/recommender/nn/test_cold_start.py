"""Searches of the index against plain sorting, one request at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recommender.catalog.arrays import Ragged
from recommender.nn import vector_index
from recommender.nn.vector_index import ColdStartIndex, VectorIndex
from training.networks.item_tower import ItemCodes
from training.recall.neural import score_positives_as_cold

ITEMS = np.arange(2, 42)


def world(cold: int) -> tuple[torch.Tensor, ItemCodes]:
    """42 vectors that float16 represents exactly; the last `cold` items are cold, even items have content."""
    torch.manual_seed(1)
    vector_VD = torch.nn.functional.normalize(torch.randn(42, 5), dim=1).half().float()
    number_V = torch.arange(42)
    content_V = torch.where((number_V % 2 == 0) & (number_V > 1), number_V // 2, 0)
    codes = ItemCodes(number_V, number_V, torch.zeros((42, 0)), content_V, torch.zeros((21, 1)), number_V >= 42 - cold)
    return vector_VD, codes


def best(score_V: np.ndarray, allowed: set[int], k: int) -> list[int]:
    """Oracle: sort all allowed items."""
    items = sorted(allowed, key=lambda item: (-score_V[item], item))[:k]
    return items + [0] * (k - len(items))


@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("cold", [0, 15, 40])
@pytest.mark.parametrize("threshold", [-2.0, 0.1, 0.5, np.inf])
def test_cold_items_need_the_threshold_in_their_best_query(cold: int, threshold: float, queries: int) -> None:
    vector_VD, codes = world(cold)
    query_BQD, exclude_BX = torch.randn(6, queries, 5), np.array([[2, 39, 40]] * 6)
    parts = ITEMS[: len(ITEMS) - cold], ITEMS[len(ITEMS) - cold :]
    index = ColdStartIndex(*(VectorIndex.of(items, vector_VD[items].numpy()) for items in parts))
    items_BK, score_BK = index.search(query_BQD.numpy(), 12, exclude_BX, np.full(6, threshold))
    for row in range(6):
        score_V = (vector_VD @ query_BQD[row].T).amax(1).numpy()
        is_allowed_V = ~codes.is_cold_V.numpy() | (score_V >= threshold)
        allowed = {item for item in ITEMS.tolist() if is_allowed_V[item]} - {2, 39, 40}
        assert items_BK[row].tolist() == best(score_V, allowed, 12)
        found = items_BK[row] > 0
        np.testing.assert_allclose(score_BK[row][found], score_V[items_BK[row][found]], rtol=1e-5)
        assert np.isneginf(score_BK[row][~found]).all()


def test_positives_with_content_are_scored_as_cold_by_their_best_query() -> None:
    vector_VD, codes = world(0)
    query_BQD = torch.randn(2, 3, 5)
    targets = Ragged(np.array([4, 5, 7, 6]), np.array([0, 2, 4]))

    def vectors(items: torch.Tensor, as_cold: bool) -> torch.Tensor:
        assert as_cold
        return vector_VD[items]

    found = score_positives_as_cold(query_BQD, targets, vectors, codes)
    expected_scores = [
        max(float(query @ vector_VD[item]) for query in query_BQD[case]) for case, item in ((0, 4), (1, 6))
    ]
    np.testing.assert_allclose(found, expected_scores, rtol=1e-5)
    assert not len(score_positives_as_cold(query_BQD, Ragged(np.array([5]), np.array([0, 1, 1])), vectors, codes))


def directions(count: int, seed: int) -> torch.Tensor:
    """Unit vectors that float16 represents exactly: four of 12 numbers are ±1/2. Some are equal."""
    random = np.random.default_rng(seed)
    vector_ND = np.zeros((count, 12), dtype=np.float32)
    for row in vector_ND:
        row[random.choice(12, 4, replace=False)] = random.choice([-0.5, 0.5], 4)
    return torch.from_numpy(vector_ND)


@pytest.mark.parametrize("is_exact", [True, False])
def test_results_equal_sorting(is_exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The approximate index reads all lists. Queries are so large that scores rarely tie, and all scores are exact."""
    monkeypatch.setattr(vector_index, "PROBED_SHARE", 1)
    items, vectors = np.arange(100, 700), directions(600, 0)
    queries = torch.from_numpy(np.random.default_rng(1).integers(-200_000, 200_000, (6, 3, 12)).astype(np.float32))
    exclude = np.random.default_rng(2).integers(90, 710, (6, 400))
    exclude[0] = 0
    found, scores = VectorIndex.of(items, vectors.numpy(), None if is_exact else 0).search(queries.numpy(), 20, exclude)
    for row in range(6):
        score_V = np.concatenate([np.zeros(100), (vectors @ queries[row].T).amax(1)])
        assert found[row].tolist() == best(score_V, {*items.tolist()} - {*exclude[row].tolist()}, 20)
        assert scores[row].tolist() == score_V[found[row]].tolist()
