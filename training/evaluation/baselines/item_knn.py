"""Item-kNN: scores a track by its similarity to the tracks of the user's history.

Sarwar et al., "Item-Based Collaborative Filtering Recommendation Algorithms" (WWW 2001): the cosine of two tracks'
listens over users. Here `x_i·x_j / √((x_i² + shrink)(x_j² + shrink))`, as if each track had one additional unique
listener, so that tracks with few listens are not similar to others. Differs from the paper: all tracks are neighbors,
including the track itself. A cut to the nearest neighbors had a lower recall on real logs (`docs/log/`), and
without it the sum goes over users, who are far fewer. Legend: U users, I tracks, T tracks of one user, C cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from training.evaluation.baselines.collaborative_filter import CollaborativeFilter
from training.evaluation.baselines.listen_matrix import raise_counts
from training.evaluation.baselines.user_plays import TrainSessions


@dataclass(frozen=True)
class ItemKNNConfig:
    """Parameters of item-kNN."""

    shrink: float
    power: float  # n listens count n^power

    def fit(self, sessions: TrainSessions) -> ItemKNN:
        """Fit the baseline."""
        return ItemKNN(sessions, self)


class ItemKNN(CollaborativeFilter):
    """Fitted item-kNN; stores one number per user-track pair and never materializes the similarities."""

    def __init__(self, sessions: TrainSessions, config: ItemKNNConfig) -> None:
        super().__init__(sessions)
        self.power = config.power
        strength_IU = self.listens.raise_counts(config.power).T.tocsr()
        norm_I = np.sqrt(strength_IU.power(2).sum(1) + config.shrink)
        self.direction_IU: csr_array = (diags_array((1 / norm_I).astype(np.float32)) @ strength_IU).tocsr()

    def scores(self, columns_T: NDArray[np.int64], counts_CT: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of all tracks, [I, C]."""
        similarity_UC = self.direction_IU[columns_T].T @ raise_counts(counts_CT.T, self.power)
        scores_IC: NDArray[np.float32] = self.direction_IU @ similarity_UC
        return scores_IC
