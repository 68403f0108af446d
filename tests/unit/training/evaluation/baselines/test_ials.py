"""iALS against explicit normal equations of Hu, Koren and Volinsky."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.training.evaluation.baselines.listen_matrices import listens, random_counts, user_history
from training.evaluation.baselines.ials import SEED, IALSConfig


def solve_vectors(fixed: np.ndarray, weight: np.ndarray, regularization: float) -> np.ndarray:
    """Vector of each row of `weight`, given the fixed vectors of the columns."""
    vectors = []
    for row in weight:
        system = fixed.T @ np.diag(1 + row) @ fixed + regularization * np.eye(fixed.shape[1])
        vectors.append(np.linalg.solve(system, fixed.T @ np.where(row > 0, 1 + row, 0)))
    return np.array(vectors)


@pytest.mark.parametrize(
    "config", [IALSConfig(3, 2, 4, 0.5, 3), IALSConfig(12, 0.5, 1, 0, 2), IALSConfig(5, 9, 2, 1, 4)]
)
def test_against_the_normal_equations(config: IALSConfig) -> None:
    counts_UI = random_counts(users=9, tracks=25, seed=3)
    columns_T, counts_CT, counts_CI = user_history(25, seed=1)
    weight_UI, weight_CI = (
        config.confidence * np.where(counts > 0, counts.astype(float) ** config.power, 0)
        for counts in (counts_UI, counts_CI)
    )
    users = np.random.default_rng(SEED).normal(scale=config.width**-0.5, size=(9, config.width))
    for _ in range(config.rounds):
        items = solve_vectors(users, weight_UI.T, config.regularization)
        users = solve_vectors(items, weight_UI, config.regularization)
    items = solve_vectors(users, weight_UI.T, config.regularization)
    expected_CI = solve_vectors(items, weight_CI, config.regularization) @ items.T

    scores_IC = config.fit(listens(counts_UI)).scores(columns_T, counts_CT)
    np.testing.assert_allclose(scores_IC.T, expected_CI, rtol=1e-3, atol=1e-4)
