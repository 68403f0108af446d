"""Common part of item-kNN, iALS and EASE: fitted on the train part, and candidates that the user has not played.

They recommend for a case from all listens of the user before it. Candidates are catalog tracks that the user has not
played for any duration, as is usual for these models and needed for their comparison on discoveries.

Legend: C cases, K candidates, T tracks of one user, E pairs of a case and a track that the user had played,
I tracks of the listen matrix.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from training.data.arrays import top_k
from training.evaluation.baselines.user_plays import Ints, TrainSessions, UserCases


class CollaborativeFilter(ABC):
    """Model fitted on the listens of the train part."""

    def __init__(self, sessions: TrainSessions) -> None:
        self.listens = sessions.listens

    @abstractmethod
    def scores(self, columns_T: Ints, counts_CT: Ints) -> NDArray[np.float32]:
        """Scores of all tracks of the matrix, [I, C]; tracks with scores of 0 or less are not recommended.

        Args:
            columns_T: Columns of the tracks that the user had listened to.
            counts_CT: Number of listens of these tracks before each case; cases of one user, in order.
        """

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
