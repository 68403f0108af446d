"""Hand-made listen matrices and user histories."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from training.evaluation.baselines.user_plays import ListenMatrix, TrainSessions


def listens(counts_UI: np.ndarray) -> TrainSessions:
    """Listens with the matrix `counts_UI`, and track codes from 2; without sessions."""
    tracks = counts_UI.shape[1]
    column_V = np.concatenate([[-1, -1], np.arange(tracks)])
    matrix = ListenMatrix(csr_array(counts_UI.astype(np.float32)), np.arange(2, tracks + 2), column_V)
    none = np.zeros(0, dtype=np.int64)
    return TrainSessions(matrix, none, none, none, none)


def random_counts(users: int, tracks: int, seed: int) -> np.ndarray:
    """Random counts with at least one listener per track; some tracks have many."""
    random = np.random.default_rng(seed)
    counts_UI = random.integers(1, 9, (users, tracks)) * (random.random((users, tracks)) < random.random(tracks) ** 2)
    counts_UI[random.integers(users, size=tracks), np.arange(tracks)] += 1
    return counts_UI


def user_history(tracks: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns and counts before three cases of a user, and the counts over all tracks [C, I]."""
    random = np.random.default_rng(seed)
    columns_T = random.permutation(tracks)[: tracks // 2]
    counts_CT = random.integers(0, 3, (3, len(columns_T))).cumsum(0)
    counts_CI = np.zeros((3, tracks), dtype=np.int64)
    counts_CI[:, columns_T] = counts_CT
    return columns_T, counts_CT, counts_CI
