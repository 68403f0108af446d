"""iALS against Hu, Koren and Volinsky's normal equations, written out pair by pair."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.training.evaluation.baselines.listen_matrices import asked, listens, random_counts
from training.evaluation.baselines.ials import SEED, IALSConfig


def solved(fixed: np.ndarray, weight: np.ndarray, regularization: float) -> np.ndarray:
    """For each row of `weight` the vector that its confidences ask for, given the vectors of the columns."""
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
    columns_T, counts_CT, counts_CI = asked(25, seed=1)
    weight_UI, weight_CI = (
        config.confidence * np.where(counts > 0, counts.astype(float) ** config.power, 0)
        for counts in (counts_UI, counts_CI)
    )
    users = np.random.default_rng(SEED).normal(scale=config.width**-0.5, size=(9, config.width))
    for _ in range(config.rounds):
        items = solved(users, weight_UI.T, config.regularization)
        users = solved(items, weight_UI, config.regularization)
    items = solved(users, weight_UI.T, config.regularization)
    expected_CI = solved(items, weight_CI, config.regularization) @ items.T

    scores_IC = config.fit(listens(counts_UI)).scores(columns_T, counts_CT)
    np.testing.assert_allclose(scores_IC.T, expected_CI, rtol=1e-3, atol=1e-4)
