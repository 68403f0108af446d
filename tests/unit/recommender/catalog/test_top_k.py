"""The best scores of one row equal the first ones after sorting all."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.catalog.arrays import top_k, top_k_positions


@pytest.mark.parametrize("size", [0, 1, 30])
@pytest.mark.parametrize("k", [1, 7, 30, 100])
@pytest.mark.parametrize("distinct", [2, 5, 1000])
def test_top_k_positions_equal_sorting(k: int, distinct: int, size: int) -> None:
    random = np.random.default_rng(0)
    score_N = np.where(random.random(size) < 0.2, -np.inf, random.integers(0, distinct, size).astype(float))
    assert top_k_positions(score_N, k).tolist() == np.argsort(-score_N, kind="stable")[:k].tolist()


def test_items_without_a_score_are_no_results() -> None:
    assert top_k(np.array([[0, 1], [2, 1], [0, 0], [3, 2]], dtype=np.float32), 3).tolist() == [[3, 1, -1], [3, 0, 1]]
