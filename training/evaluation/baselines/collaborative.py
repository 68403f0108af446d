"""Item-kNN, iALS and EASE: fitted on the train part, and candidates that the user has not played.

They recommend for a case from all listens of the user before it. Candidates are catalog tracks that the user has not
played for any duration, as is usual for these models and needed for their comparison on discoveries.

Legend: C cases, K candidates, T tracks of one user, E pairs of a case and a track that the user had played,
I tracks of the listen matrix, U users, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import inv
from scipy.sparse import csr_array, csr_matrix, diags_array

from recommender.catalog.arrays import top_k
from training.evaluation.baselines.user_plays import Ints, ListenMatrix, TrainSessions, UserCases, raise_counts

SEED = 0
TRACK_BATCH_SIZE = 16_384

Scores = Callable[[Ints, Ints], NDArray[np.float32]]
"""From the columns of the tracks that a user had listened to [T], and the number of listens of these tracks before each of
the user's cases, in order [C, T], to the scores of all tracks of the matrix [I, C]. Tracks with scores of 0 or less are not
recommended."""


@dataclass(frozen=True)
class CollaborativeFilter:
    """Model fitted on the listens of the train part."""

    listens: ListenMatrix
    scores: Scores

    def recall(self, cases: UserCases, k: int) -> Ints:
        """Lists [C, K] for the cases of one user in order, best first, padded with 0."""
        plays, listens = cases.plays, self.listens
        counts_CT = plays.listen_counts(cases.play_number_C)
        column_T = listens.column_V[plays.tracks_T]
        is_used_T = (column_T >= 0) & (counts_CT[-1] > 0)
        scores_IC = self.scores(column_T[is_used_T], counts_CT[:, is_used_T])
        first_play_number_T = plays.play_number_N[np.unique(plays.track_N, return_index=True)[1]]
        case_E, track_E = np.nonzero((column_T >= 0) & (first_play_number_T < cases.play_number_C[:, None]))
        scores_IC[column_T[track_E], case_E] = -np.inf
        column_CK = top_k(scores_IC, k)
        return np.where(column_CK >= 0, listens.tracks_I[column_CK], 0)


@dataclass(frozen=True)
class ItemKNN:
    """Item-kNN: scores a track by its similarity to the tracks of the user's history.

    Sarwar et al., "Item-Based Collaborative Filtering Recommendation Algorithms" (WWW 2001): the cosine of two tracks'
    listens over users. Here `x_i·x_j / √((x_i² + shrink)(x_j² + shrink))`, as if each track had one additional unique
    listener, so that tracks with few listens are not similar to others. Differs from the paper: all tracks are neighbors,
    including the track itself. A cut to the nearest neighbors had a lower recall on real logs (`docs/log/`), and
    without it the sum goes over users, who are far fewer: similarities are never materialized.
    """

    shrink: float
    power: float  # n listens count n^power

    def fit(self, sessions: TrainSessions) -> CollaborativeFilter:
        """Fit the baseline."""
        strength_IU = sessions.listens.raise_counts(self.power).T.tocsr()
        norm_I = np.sqrt(strength_IU.power(2).sum(1) + self.shrink)
        direction_IU: csr_array = (diags_array((1 / norm_I).astype(np.float32)) @ strength_IU).tocsr()

        def scores(columns_T: Ints, counts_CT: Ints) -> NDArray[np.float32]:
            return direction_IU @ (direction_IU[columns_T].T @ raise_counts(counts_CT.T, self.power))

        return CollaborativeFilter(sessions.listens, scores)


@dataclass(frozen=True)
class IALS:
    """iALS: matrix factorization of implicit feedback by alternating least squares, fitted by the library `implicit`.

    Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets" (ICDM 2008): every user-track pair counts,
    with confidence `1 + α·strength` for listened pairs and 1 for all others; the user vector of a case is solved from its
    history. Differs from the paper: strength is the number of listens raised to a power.
    """

    width: int  # D
    regularization: float  # λ
    confidence: float  # α
    power: float  # n listens have strength n^power
    rounds: int

    def factorize(self, listens: ListenMatrix) -> Any:
        """The fitted model of the library."""
        from implicit.cpu.als import AlternatingLeastSquares  # only a fit needs it

        model = AlternatingLeastSquares(
            self.width, self.regularization, iterations=self.rounds, random_state=SEED, num_threads=1
        )
        weight_UI = csr_matrix(listens.raise_counts(self.power))
        weight_UI.data = 1 + self.confidence * weight_UI.data
        model.fit(weight_UI, show_progress=False)
        return model

    def fit(self, sessions: TrainSessions) -> CollaborativeFilter:
        """Fit the baseline."""
        model = self.factorize(sessions.listens)

        def scores(columns_T: Ints, counts_CT: Ints) -> NDArray[np.float32]:
            strength_CT = raise_counts(counts_CT, self.power)
            case_N, track_N = np.nonzero(strength_CT)
            weight_N = 1 + np.float32(self.confidence) * strength_CT[case_N, track_N]
            shape = len(counts_CT), len(sessions.listens.tracks_I)
            weight_CI = csr_matrix((weight_N, (case_N, columns_T[track_N])), shape=shape)
            user_CD = model.recalculate_user(np.arange(len(counts_CT)), weight_CI)
            return model.item_factors @ user_CD.T

        return CollaborativeFilter(sessions.listens, scores)


@dataclass(frozen=True)
class Ease:
    """EASE: a linear item-to-item model in closed form, solved over users or tracks, whichever are fewer.

    Steck, "Embarrassingly Shallow Autoencoders for Sparse Data" (WWW 2019, arXiv:1905.03251): `B = I − P·diag(1 / P_jj)`
    with `P = (X'X + λI)⁻¹` and X the listens of users; P is an I × I matrix. By Woodbury's identity
    `P = (I − X'KX) / λ` with the U × U matrix `K = (XX' + λI)⁻¹`; so λ cancels and a case with history q scores
    `(qX'KX − d∘q) / (1 − d)`, where `d_j = x_j'Kx_j`. Logs have far fewer users than tracks, public data may not. Differs
    from the paper: X holds counts raised to a power.
    """

    regularization: float  # λ
    power: float  # n listens count n^power

    def fit(self, sessions: TrainSessions) -> CollaborativeFilter:
        """Fit the baseline; takes O(U²) or O(I²) memory."""
        strength_UI = sessions.listens.raise_counts(self.power)
        users, tracks = strength_UI.shape
        solve = self._over_users if users <= tracks else self._over_tracks
        return CollaborativeFilter(sessions.listens, solve(strength_UI))

    def _over_users(self, strength_UI: csr_array) -> Scores:
        inverse_UU = self._inverse(strength_UI.astype(np.float64) @ strength_UI.T)
        strength_IU = strength_UI.T.tocsr()
        starts = range(0, strength_IU.shape[0], TRACK_BATCH_SIZE)
        parts = [strength_IU[start : start + TRACK_BATCH_SIZE] for start in starts]
        own_I = np.concatenate([np.zeros(0), *(part_IU.multiply(part_IU @ inverse_UU).sum(1) for part_IU in parts)])
        scaled_IU: csr_array = (diags_array((1 / (1 - own_I)).astype(np.float32)) @ strength_IU).tocsr()
        self_similarity_I = (own_I / (1 - own_I)).astype(np.float32)

        def scores(columns_T: Ints, counts_CT: Ints) -> NDArray[np.float32]:
            history_TC = raise_counts(counts_CT.T, self.power)
            # Most of K may cancel out, which float32 cannot represent.
            similarity_UC = inverse_UU @ (strength_IU[columns_T].T @ history_TC.astype(np.float64))
            scores_IC: NDArray[np.float32] = scaled_IU @ similarity_UC.astype(np.float32)
            scores_IC[columns_T] -= self_similarity_I[columns_T, None] * history_TC
            return scores_IC

        return scores

    def _over_tracks(self, strength_UI: csr_array) -> Scores:
        weight_II = self._inverse(strength_UI.T @ strength_UI.astype(np.float64))
        weight_II /= -np.diag(weight_II)
        np.fill_diagonal(weight_II, 0)
        weights_II = weight_II.astype(np.float32)
        return lambda columns_T, counts_CT: weights_II[columns_T].T @ raise_counts(counts_CT.T, self.power)

    def _inverse(self, gram: csr_array) -> NDArray[np.float64]:
        """`(gram + λI)⁻¹`, in the memory of two matrices."""
        dense = gram.toarray()
        dense[np.diag_indices_from(dense)] += self.regularization
        return inv(dense.T, overwrite_a=True, check_finite=False)
