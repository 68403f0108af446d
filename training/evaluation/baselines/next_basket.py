"""Common part of next-basket baselines: a user's own vector of track frequencies plus those of other users.

A session is a basket: the set of tracks listened to in it. Own vectors are point-in-time; those of other users are of
the train part, so the lists of a case never depend on the validation or test plays of others.

Legend: C cases, K candidates or known tracks, T tracks of one user, I tracks of the listen matrix, U users, M further candidates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from training.evaluation.baselines.top_k import top_k
from training.evaluation.baselines.user_plays import Floats, Ints, TrainSessions, UserCases

ROUNDING = 1e-4  # relative error that a bound in single precision may have


class NextBasketBaseline(ABC):
    """Recommends tracks of the catalog and all tracks that the user has listened to.

    Memory: one number per pair of a train user and a track, and one per case of a batch and track that can be among
    its best.
    """

    vectors_IU: csr_array  # vectors of the users in the train part, float32

    def __init__(self, sessions: TrainSessions) -> None:
        self.sessions = sessions

    @abstractmethod
    def score_parts(self, cases: UserCases, known: Ints, known_KU: csr_array) -> tuple[Floats, Floats]:
        """Scores of the user's tracks by their own history [T, C], and weights of the vectors of all users [U, C].

        The weight of the user's own vector is 0.

        Args:
            cases: Cases of one user.
            known: Which of the user's tracks are in the listen matrix, as indices.
            known_KU: Vectors of all users, of these tracks.
        """

    def recall(self, cases: UserCases, k: int) -> Ints:
        """Lists [C, K], best first, padded with 0; empty before the first listen of the user."""
        listens, tracks_T = self.sessions.listens, cases.plays.tracks_T
        column_T = listens.column_V[tracks_T]
        known = np.flatnonzero(column_T >= 0)
        known_KU = self.vectors_IU[column_T[known]]
        own_TC, weights_UC = (part.astype(np.float32) for part in self.score_parts(cases, known, known_KU))
        scores = own_TC.copy()
        scores[known] += known_KU @ weights_UC
        further_M = self._further_candidates(weights_UC, column_T[known], _kth_score(scores, k))
        if len(further_M):
            scores = np.concatenate([scores, self.vectors_IU[further_M] @ weights_UC])
        item_CK = top_k(scores, k)
        tracks = np.concatenate([tracks_T, listens.tracks_I[further_M]])
        is_listed_CK = (item_CK >= 0) & (own_TC.max(0, initial=0) > 0)[:, None]
        return np.where(is_listed_CK, tracks[item_CK], 0)

    def _further_candidates(self, weights_UC: NDArray[np.float32], own_columns: Ints, minimum: float) -> Ints:
        """Columns that the user has not played and whose score can reach `minimum` in any case.

        A score is at most that with the largest weight of each vector over the cases, which takes one product instead
        of C.
        """
        bound_I = self.vectors_IU @ weights_UC.max(1)
        bound_I[own_columns] = 0
        return np.flatnonzero((bound_I > 0) & (bound_I >= minimum * (1 - ROUNDING)))


def _kth_score(score_TC: NDArray[np.float32], k: int) -> float:
    """The smallest k-th best score over the cases; 0 if there are fewer scores than `k`."""
    if len(score_TC) < k:
        return 0.0
    return float(np.partition(score_TC, len(score_TC) - k, axis=0)[len(score_TC) - k].min())
