"""Item-kNN: a case scores a track by how near it is to what was listened to.

Sarwar et al., "Item-Based Collaborative Filtering Recommendation Algorithms" (WWW 2001): the cosine of two tracks'
listens over users. Here `x_i·x_j / √((x_i² + shrink)(x_j² + shrink))`, as if each track had one listener more, of its
own, so that few listens make no near neighbours. Differs from the paper: every track is a neighbour, itself too. A cut
to the nearest found less on real logs (`docs/experiments.md`), and without it the sum goes over users, who are far
fewer. Legend: U users, I tracks, T tracks of one user, C cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from training.evaluation.baselines.listen_matrix import ListenMatrix, raise_counts


@dataclass(frozen=True)
class ItemKNNConfig:
    """A listen that was repeated n times counts n^`power`."""

    shrink: float
    power: float

    def fit(self, listens: ListenMatrix) -> ItemKNN:
        """The baseline with these parameters."""
        return ItemKNN(listens, self)


class ItemKNN:
    """Holds as many numbers as there are listens; the similarities themselves are never written out."""

    def __init__(self, listens: ListenMatrix, config: ItemKNNConfig) -> None:
        self.power = config.power
        strength_IU = listens.raise_counts(config.power).T.tocsr()
        damped_I = np.sqrt(strength_IU.power(2).sum(1) + config.shrink)
        self.direction_IU: csr_array = (diags_array((1 / damped_I).astype(np.float32)) @ strength_IU).tocsr()

    def scores(self, columns_T: NDArray[np.int64], counts_CT: NDArray[np.int64]) -> NDArray[np.float32]:
        """A score of every track for every case, [I, C]."""
        alike_UC = self.direction_IU[columns_T].T @ raise_counts(counts_CT.T, self.power)
        scores_IC: NDArray[np.float32] = self.direction_IU @ alike_UC
        return scores_IC
