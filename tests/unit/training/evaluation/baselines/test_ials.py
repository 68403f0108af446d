"""iALS: the user of a case is the solution for their history."""

from __future__ import annotations

import numpy as np

from tests.unit.training.evaluation.baselines.listen_matrices import listens, random_counts, user_history
from training.evaluation.baselines.collaborative import IALS


def test_scores_are_those_of_the_user_who_solves_the_normal_equations() -> None:
    config = IALS(3, 2, 4, 0.5, 3)
    columns_T, counts_CT, counts_CI = user_history(25, seed=1)
    sessions = listens(random_counts(users=9, tracks=25, seed=3))
    item_ID = config.factorize(sessions.listens).item_factors.astype(np.float64)
    confidence_CI = np.where(counts_CI > 0, 1 + config.confidence * counts_CI.astype(float) ** config.power, 1)
    expected = []
    for counts_I, confidence_I in zip(counts_CI, confidence_CI, strict=True):
        system = item_ID.T @ (item_ID * confidence_I[:, None]) + config.regularization * np.eye(config.width)
        expected.append(item_ID @ np.linalg.solve(system, item_ID.T @ np.where(counts_I > 0, confidence_I, 0)))
    np.testing.assert_allclose(config.fit(sessions).scores(columns_T, counts_CT).T, expected, rtol=1e-3, atol=1e-5)
