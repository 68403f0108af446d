"""Collaborative baselines: scores of each against its formula over dense matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from training.evaluation.baselines import collaborative
from training.evaluation.baselines.collaborative import IALS, Ease, ItemKNN
from training.evaluation.baselines.user_plays import ListenMatrix, TrainSessions

TRACKS = 24


def listens(counts_UI: np.ndarray) -> TrainSessions:
    """Listens with the matrix `counts_UI`, and track codes from 2; without sessions."""
    matrix = ListenMatrix(
        csr_array(counts_UI.astype(np.float32)), np.arange(2, TRACKS + 2), np.concatenate([[-1, -1], np.arange(TRACKS)])
    )
    none = np.zeros(0, dtype=np.int64)
    return TrainSessions(matrix, none, none, none, none)


def powers(counts: np.ndarray, power: float) -> np.ndarray:
    return np.where(counts > 0, counts.astype(float) ** power, 0)


def ease_by_hand(config: Ease, counts_UI: np.ndarray, past_CI: np.ndarray) -> np.ndarray:
    """The paper inverts a matrix over tracks."""
    strength_UI = powers(counts_UI, config.power)
    inverse_II = np.linalg.inv(strength_UI.T @ strength_UI + config.regularization * np.eye(TRACKS))
    weights_II = -inverse_II / np.diag(inverse_II)
    np.fill_diagonal(weights_II, 0)
    return powers(past_CI, config.power) @ weights_II


def item_knn_by_hand(config: ItemKNN, counts_UI: np.ndarray, past_CI: np.ndarray) -> np.ndarray:
    strength_UI = powers(counts_UI, config.power)
    dot_II = strength_UI.T @ strength_UI
    length_I = np.sqrt(np.diag(dot_II) + config.shrink)
    return powers(past_CI, config.power) @ (dot_II / np.outer(length_I, length_I))


def ials_by_hand(config: IALS, counts_UI: np.ndarray, past_CI: np.ndarray) -> np.ndarray:
    """The user of a case solves the normal equations of their history."""
    item_ID = config.factorize(listens(counts_UI).listens).item_factors.astype(np.float64)
    confidence_CI = 1 + config.confidence * powers(past_CI, config.power)
    return np.stack([
        item_ID @ np.linalg.solve(
            item_ID.T @ (item_ID * confidence_I[:, None]) + config.regularization * np.eye(config.width),
            item_ID.T @ np.where(past_I > 0, confidence_I, 0),
        )
        for past_I, confidence_I in zip(past_CI, confidence_CI, strict=True)
    ])  # fmt: skip


@pytest.mark.parametrize("users", [4, 30])
@pytest.mark.parametrize(
    ("config", "by_hand"),
    [
        *((Ease(3, power), ease_by_hand) for power in (0, 0.5, 1)),
        *((config, item_knn_by_hand) for config in (ItemKNN(0, 0), ItemKNN(5, 0.5), ItemKNN(30, 1))),
        (IALS(3, 2, 4, 0.5, 3), ials_by_hand),
    ],
)
def test_scores_equal_the_formula(
    config: Any, by_hand: Callable[..., np.ndarray], users: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collaborative, "TRACK_BATCH_SIZE", 6)
    random = np.random.default_rng(users)
    counts_UI = random.integers(1, 9, (users, TRACKS)) * (random.random((users, TRACKS)) < random.random(TRACKS) ** 2)
    counts_UI[random.integers(users, size=TRACKS), np.arange(TRACKS)] += 1
    columns_T, past_CI = random.permutation(TRACKS)[: TRACKS // 2], np.zeros((3, TRACKS), dtype=np.int64)
    past_CI[:, columns_T] = random.integers(0, 3, (3, len(columns_T))).cumsum(0)
    scores_IC = config.fit(listens(counts_UI)).scores(columns_T, past_CI[:, columns_T])
    np.testing.assert_allclose(scores_IC.T, by_hand(config, counts_UI, past_CI), rtol=1e-3, atol=1e-5)
