"""The cold-start index against plain sorting, one request at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recommender.catalog.arrays import Ragged
from recommender.nn.item_tower import ItemCodes
from recommender.nn.vector_index import ColdStartIndex, VectorIndex, score_positives_as_cold

ITEMS = np.arange(2, 42)


def world(cold: int) -> tuple[torch.Tensor, ItemCodes]:
    """42 vectors that float16 represents exactly; the last `cold` items are cold, even items have content."""
    torch.manual_seed(1)
    vector_VD = torch.nn.functional.normalize(torch.randn(42, 5), dim=1).half().float()
    number_V = torch.arange(42)
    content_V = torch.where((number_V % 2 == 0) & (number_V > 1), number_V // 2, 0)
    codes = ItemCodes(number_V, number_V, torch.zeros((42, 0)), content_V, torch.zeros((21, 1)), number_V >= 42 - cold)
    return vector_VD, codes


def expected(score_V: np.ndarray, is_allowed_V: np.ndarray, k: int) -> list[int]:
    kept = [item for item in ITEMS.tolist() if is_allowed_V[item]]
    best = sorted(kept, key=lambda item: (-score_V[item], item))[:k]
    return best + [0] * (k - len(best))


@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("cold", [0, 15, 40])
@pytest.mark.parametrize("threshold", [-2.0, 0.1, 0.5, np.inf])
def test_cold_items_need_the_threshold_in_their_best_query(cold: int, threshold: float, queries: int) -> None:
    vector_VD, codes = world(cold)
    query_BQD, exclude_BX = torch.randn(6, queries, 5), np.array([[2, 39, 40]] * 6)
    parts = ITEMS[: len(ITEMS) - cold], ITEMS[len(ITEMS) - cold :]
    index = ColdStartIndex(*(VectorIndex.of(items, vector_VD[items]) for items in parts))
    items_BK, score_BK = index.search(query_BQD.numpy(), 12, exclude_BX, threshold)
    for row in range(6):
        score_V = (vector_VD @ query_BQD[row].T).amax(1).numpy()
        is_allowed_V = ~codes.is_cold_V.numpy() | (score_V >= threshold)
        is_allowed_V[exclude_BX[row]] = False
        assert items_BK[row].tolist() == expected(score_V, is_allowed_V, 12)
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
