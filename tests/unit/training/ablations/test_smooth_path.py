"""Paths of the ablation `smooth_path` with few candidates."""

from __future__ import annotations

import numpy as np
import pytest

from training.ablations.smooth_path import LENGTH, greedy_path


@pytest.mark.parametrize("candidates", [2, 6, LENGTH + 5])
def test_a_greedy_path_has_at_most_all_candidates(candidates: int) -> None:
    vector_CD = np.random.default_rng(0).normal(size=(candidates, 4)).astype(np.float32)
    vector_CD /= np.linalg.norm(vector_CD, axis=1, keepdims=True)
    path = greedy_path(vector_CD, np.zeros(candidates, dtype=np.int64))
    assert len(path) == len(set(path)) == min(LENGTH, candidates)
    assert (path[0], path[-1]) == (0, candidates - 1)
