"""UP-CF: popularity of a track in the user's newest sessions, plus that in the sessions of similar users.

Faggioli, Polato, Aiolli, "Recency Aware Collaborative Filtering for Next Basket Recommendation" (UMAP 2020). The recency
of a track for a user is the fraction of their `recency` newest sessions that contain it. A track scores
`Σ_v similarity(u, v) ** locality · recency_v` over the users v, u included with similarity 1. The similarity is the
asymmetric cosine of the sets of tracks that both have listened to, `|u ∩ v| / (|u| ** alpha · |v| ** (1 - alpha))`.

Difference: a user's own sets are those before the request, those of other users are of the train part.

Legend: C cases, T tracks of one user, I tracks of the listen matrix, U users, S sessions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from training.evaluation.baselines.next_basket import NextBasketBaseline
from training.evaluation.baselines.user_plays import Floats, Ints, TrainSessions, UserCases


@dataclass(frozen=True)
class UpCfConfig:
    """Parameters of UP-CF."""

    recency: int = 100  # newest sessions of a user that count
    locality: float = 10.0  # exponent of the similarity
    alpha: float = 0.5  # asymmetry of the similarity, 0..1

    def fit(self, sessions: TrainSessions) -> UpCf:
        """Fit the baseline."""
        return UpCf(sessions, self)


class UpCf(NextBasketBaseline):
    """Fitted UP-CF."""

    def __init__(self, sessions: TrainSessions, config: UpCfConfig) -> None:
        super().__init__(sessions)
        self.config = config
        counted_U = np.maximum(np.minimum(sessions.sessions_U, config.recency), 1)
        self.vectors_IU = sessions.vectors((sessions.age_E < config.recency) / counted_U[sessions.user_E])
        self.tracks_U = np.diff(sessions.listens.counts_UI.indptr)

    def score_parts(self, cases: UserCases, known: Ints, known_KU: csr_array) -> tuple[Floats, Floats]:
        """Fraction of the user's newest sessions with each track [T, C], `similarity ** locality` of others [U, C]."""
        del known_KU  # has the newest sessions of other users only
        plays, numbers = cases.plays, cases.play_number_C.tolist()
        counted_C = np.array([max(min(plays.count_sessions(number), self.config.recency), 1) for number in numbers])
        is_recent_S = (np.arange(plays.sessions) < self.config.recency).astype(np.float64)
        own_TC = np.stack([plays.sum_over_sessions(number, is_recent_S) for number in numbers], axis=1) / counted_C
        common_UC, listened_C = self.sessions.count_common_tracks(cases, known)
        alpha = self.config.alpha
        similarity_UC = common_UC / (listened_C**alpha * np.maximum(self.tracks_U, 1)[:, None] ** (1 - alpha))
        similarity_UC[plays.user] = 0
        return own_TC, similarity_UC**self.config.locality
