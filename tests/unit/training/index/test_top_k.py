"""Top k against a full sort."""

from __future__ import annotations

import numpy as np
import pytest

from training.index.top_k import GROUPS, top_k


@pytest.mark.parametrize("items", [3, 500, 2 * GROUPS, 3 * GROUPS + 7])
@pytest.mark.parametrize("kind", ["distinct", "ties", "few", "none"])
def test_top_k_equals_a_full_sort(items: int, kind: str) -> None:
    random = np.random.default_rng(items)
    scores_IC = random.normal(size=(items, 5)).astype(np.float32)
    if kind == "ties":
        scores_IC = np.round(scores_IC)
    if kind == "few":
        scores_IC[10:] = -np.inf
    if kind == "none":
        scores_IC = -np.abs(scores_IC)
    found = top_k(scores_IC, 20)
    for case, column in enumerate(scores_IC.T):
        best = [item for item in np.argsort(-column, kind="stable").tolist() if column[item] > 0][:20]
        assert found[case].tolist() == best + [-1] * (20 - len(best))
