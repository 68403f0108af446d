"""iALS: matrix factorization of implicit feedback by alternating least squares, fitted by the library `implicit`.

Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets" (ICDM 2008): every user-track pair counts,
with confidence `1 + α·strength` for listened pairs and 1 for all others. Differs from the paper: strength is the number
of listens raised to a power.
Legend: I tracks, D width, T tracks of one user, C cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from training.evaluation.baselines.collaborative_filter import CollaborativeFilter
from training.evaluation.baselines.listen_matrix import raise_counts
from training.evaluation.baselines.user_plays import TrainSessions

SEED = 0


@dataclass(frozen=True)
class IALSConfig:
    """Parameters of iALS."""

    width: int  # D
    regularization: float  # λ
    confidence: float  # α
    power: float  # n listens have strength n^power
    rounds: int = 15

    def fit(self, sessions: TrainSessions) -> IALS:
        """Fit the baseline."""
        return IALS(sessions, self)


class IALS(CollaborativeFilter):
    """Fitted track vectors; the user vector of a case is solved from its history."""

    def __init__(self, sessions: TrainSessions, config: IALSConfig) -> None:
        from implicit.cpu.als import AlternatingLeastSquares  # only a fit needs it

        super().__init__(sessions)
        self.config = config
        self.model = AlternatingLeastSquares(
            config.width, config.regularization, iterations=config.rounds, random_state=SEED, num_threads=1
        )
        weight_UI = csr_matrix(self.listens.raise_counts(config.power))
        weight_UI.data = 1 + config.confidence * weight_UI.data
        self.model.fit(weight_UI, show_progress=False)

    def scores(self, columns_T: NDArray[np.int64], counts_CT: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of all tracks, [I, C]."""
        strength_CT = raise_counts(counts_CT, self.config.power)
        case_N, track_N = np.nonzero(strength_CT)
        weight_N = 1 + np.float32(self.config.confidence) * strength_CT[case_N, track_N]
        shape = len(counts_CT), len(self.listens.tracks_I)
        weight_CI = csr_matrix((weight_N, (case_N, columns_T[track_N])), shape=shape)
        user_CD = self.model.recalculate_user(np.arange(len(counts_CT)), weight_CI)
        scores_IC: NDArray[np.float32] = self.model.item_factors @ user_CD.T
        return scores_IC
