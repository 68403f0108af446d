"""Listen matrices made by hand, and a past to ask with."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from training.evaluation.baselines.listen_matrix import ListenMatrix


def listens(counts_UI: np.ndarray) -> ListenMatrix:
    """The matrix of `counts_UI`, whose tracks are numbered from 2, the most listened to first."""
    tracks = counts_UI.shape[1]
    column_V = np.concatenate([[-1, -1], np.arange(tracks)])
    return ListenMatrix(csr_array(counts_UI.astype(np.float32)), np.arange(2, tracks + 2), column_V)


def random_counts(users: int, tracks: int, seed: int) -> np.ndarray:
    """Some tracks have one listener, some have many, every track has one."""
    random = np.random.default_rng(seed)
    counts_UI = random.integers(1, 9, (users, tracks)) * (random.random((users, tracks)) < random.random(tracks) ** 2)
    counts_UI[random.integers(users, size=tracks), np.arange(tracks)] += 1
    return counts_UI


def asked(tracks: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns and how often they had been heard before three cases of a user, and the same over all tracks [C, I]."""
    random = np.random.default_rng(seed)
    columns_T = random.permutation(tracks)[: tracks // 2]
    counts_CT = random.integers(0, 3, (3, len(columns_T))).cumsum(0)
    counts_CI = np.zeros((3, tracks), dtype=np.int64)
    counts_CI[:, columns_T] = counts_CT
    return columns_T, counts_CT, counts_CI
