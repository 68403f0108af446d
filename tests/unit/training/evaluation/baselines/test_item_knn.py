"""Item-kNN against the explicit similarity matrix."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.training.evaluation.baselines.listen_matrices import listens, random_counts, user_history
from training.evaluation.baselines.collaborative import ItemKNN


@pytest.mark.parametrize("config", [ItemKNN(0, 0), ItemKNN(5, 0.5), ItemKNN(30, 1)])
def test_against_all_similarities(config: ItemKNN) -> None:
    counts_UI = random_counts(users=8, tracks=30, seed=0)
    columns_T, counts_CT, counts_CI = user_history(30, seed=1)
    strength_UI, past_CI = (
        np.where(counts > 0, counts.astype(float) ** config.power, 0) for counts in (counts_UI, counts_CI)
    )
    similarity_II = np.zeros((30, 30))
    for row in range(30):
        for column in range(30):
            left, right = strength_UI[:, row], strength_UI[:, column]
            similarity_II[row, column] = (
                left @ right / np.sqrt((left @ left + config.shrink) * (right @ right + config.shrink))
            )
    scores_IC = config.fit(listens(counts_UI)).scores(columns_T, counts_CT)
    np.testing.assert_allclose(scores_IC.T, past_CI @ similarity_II, rtol=1e-5, atol=1e-6)
