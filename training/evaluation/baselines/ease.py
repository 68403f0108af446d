"""EASE: a linear item-to-item model in closed form, solved over users or tracks, whichever are fewer.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data" (WWW 2019, arXiv:1905.03251): `B = I − P·diag(1 / P_jj)`
with `P = (X'X + λI)⁻¹` and X the listens of users; P is an I × I matrix. By Woodbury's identity
`P = (I − X'KX) / λ` with the U × U matrix `K = (XX' + λI)⁻¹`; so λ cancels and a case with history q scores
`(qX'KX − d∘q) / (1 − d)`, where `d_j = x_j'Kx_j`. Logs have far fewer users than tracks, public data may not. Differs from
the paper: X holds counts raised to a power.
Legend: U users, I tracks, T tracks of one user, C cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import inv
from scipy.sparse import csr_array, diags_array

from training.evaluation.baselines.collaborative_filter import CollaborativeFilter
from training.evaluation.baselines.listen_matrix import raise_counts
from training.evaluation.baselines.user_plays import TrainSessions

TRACK_BATCH_SIZE = 16_384


@dataclass(frozen=True)
class EaseConfig:
    """Parameters of EASE."""

    regularization: float  # λ
    power: float  # n listens count n^power

    def fit(self, sessions: TrainSessions) -> Ease | EaseOverTracks:
        """Fit the baseline."""
        users, tracks = sessions.listens.counts_UI.shape
        return Ease(sessions, self) if users <= tracks else EaseOverTracks(sessions, self)


class Ease(CollaborativeFilter):
    """Fitted EASE; takes O(U²) memory, and O(U) time per scored track."""

    def __init__(self, sessions: TrainSessions, config: EaseConfig) -> None:
        super().__init__(sessions)
        self.power = config.power
        strength_UI = self.listens.raise_counts(config.power)
        inverse_UU = _regularized_inverse(strength_UI.astype(np.float64) @ strength_UI.T, config.regularization)
        strength_IU = strength_UI.T.tocsr()
        own_I = np.concatenate(
            [np.zeros(0), *(_self_similarity(part_IU, inverse_UU) for part_IU in _track_batches(strength_IU))]
        )
        self.inverse_UU = inverse_UU
        self.strength_IU = strength_IU
        self.scaled_IU: csr_array = (diags_array((1 / (1 - own_I)).astype(np.float32)) @ strength_IU).tocsr()
        self.self_similarity_I = (own_I / (1 - own_I)).astype(np.float32)

    def scores(self, columns_T: NDArray[np.int64], counts_CT: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of all tracks, [I, C]."""
        history_TC = raise_counts(counts_CT.T, self.power)
        # Most of K may cancel out, which float32 cannot represent.
        similarity_UC = self.inverse_UU @ (self.strength_IU[columns_T].T @ history_TC.astype(np.float64))
        scores_IC: NDArray[np.float32] = self.scaled_IU @ similarity_UC.astype(np.float32)
        scores_IC[columns_T] -= self.self_similarity_I[columns_T, None] * history_TC
        return scores_IC


class EaseOverTracks(CollaborativeFilter):
    """Fitted EASE in the form of the paper; takes O(I²) memory."""

    def __init__(self, sessions: TrainSessions, config: EaseConfig) -> None:
        super().__init__(sessions)
        self.power = config.power
        strength_UI = self.listens.raise_counts(config.power).astype(np.float64)
        weight_II = _regularized_inverse(strength_UI.T @ strength_UI, config.regularization)
        weight_II /= -np.diag(weight_II)
        np.fill_diagonal(weight_II, 0)
        self.weight_II = weight_II.astype(np.float32)

    def scores(self, columns_T: NDArray[np.int64], counts_CT: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of all tracks, [I, C]."""
        scores_IC: NDArray[np.float32] = self.weight_II[columns_T].T @ raise_counts(counts_CT.T, self.power)
        return scores_IC


def _regularized_inverse(gram: csr_array, regularization: float) -> NDArray[np.float64]:
    """`(gram + regularization · I)⁻¹`, in the memory of two matrices."""
    dense = gram.toarray()
    dense[np.diag_indices_from(dense)] += regularization
    inverse: NDArray[np.float64] = inv(dense.T, overwrite_a=True, check_finite=False)
    return inverse


def _track_batches(strength_IU: csr_array) -> list[csr_array]:
    return [strength_IU[start : start + TRACK_BATCH_SIZE] for start in range(0, strength_IU.shape[0], TRACK_BATCH_SIZE)]


def _self_similarity(part_IU: csr_array, inverse_UU: NDArray[np.float64]) -> NDArray[np.float64]:
    """x_j'Kx_j of the tracks of a batch."""
    own_I: NDArray[np.float64] = part_IU.multiply(part_IU @ inverse_UU).sum(1)
    return own_I
