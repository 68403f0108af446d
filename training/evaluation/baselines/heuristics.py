"""Baselines without a model of tracks: base-level activation and TIFU-KNN.

Legend: C cases, K candidates or known tracks, T tracks of one user, I tracks of the listen matrix, U users, N neighbors,
S sessions, M further candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recommender.catalog.arrays import top_k, top_k_positions
from training.evaluation.baselines.user_plays import Floats, Ints, TrainSessions, UserCases

MIN_AGE_S = 60.0


@dataclass(frozen=True)
class BaseLevelActivation:
    """Base-level activation with decay and weight of skips tuned on validation.

    `activation = Σ w (seconds since each play) ** -decay` with w = 1 for a listen and `skip` for a skip: Anderson, Bothell,
    Byrne, Douglass, Lebiere, Qin, "An Integrated Theory of the Mind" (2004); used for music by Tran, Tricard, Hennequin,
    "Transformers Meet ACT-R" (2024), arXiv 2408.16578. Recommends played tracks, also those outside the catalog. Nothing
    is learned from other users.

    Differences: no logarithm, which does not change the order; ages below a minute count as a minute; skips count. The
    channel `favorites` scores in the same way, over the newest plays of its sequence view; this baseline reads all plays.
    """

    decay: float = 0.5  # exponent of the age
    skip: float = 0.2  # weight of a skip relative to a listen

    def fit(self, sessions: TrainSessions) -> Self:
        """The baseline itself."""
        del sessions
        return self

    def recall(self, cases: UserCases, k: int) -> Ints:
        """Lists [C, K], best first, ties by smaller track code, padded with 0."""
        lists_CK, plays = np.zeros((len(cases), k), dtype=np.int64), cases.plays
        for case, seen in enumerate(np.searchsorted(plays.play_number_N, cases.play_number_C)):
            age_s = np.maximum((cases.request_at_C[case] - plays.known_at_N[:seen]) / 1e6, MIN_AGE_S)
            strength = np.exp(-self.decay * np.log(age_s))  # faster than a power
            weight = np.where(plays.is_listened_N[:seen], strength, self.skip * strength)
            score_T = np.bincount(plays.track_N[:seen], weights=weight, minlength=len(plays.tracks_T))
            count = min(k, int((score_T > 0).sum()))
            lists_CK[case, :count] = plays.tracks_T[top_k_positions(score_T, count)] if count else 0
        return lists_CK


ROUNDING = 1e-4  # relative error that a bound in single precision may have


@dataclass(frozen=True)
class TifuKnnConfig:
    """TIFU-KNN: temporal item frequencies of a user, mixed with the frequencies of the nearest users.

    Hu, He, Gao, Zhang, "Modeling Personalized Item Frequency Information for Next-basket Recommendation" (SIGIR 2020),
    arXiv 2006.00556. The vector of a user is the mean of their sessions' binary vectors, weighted by
    `within_decay ** (place in its group) · group_decay ** (number of the group)`, both counted back from the newest
    session. A track scores `alpha · own + (1 - alpha) · mean over the nearest users` by Euclidean distance.

    Differences: groups have a fixed number of sessions instead of being a fixed number of groups, because histories here
    have thousands of sessions instead of tens; weights of a user sum to 1, so that vectors of long and short histories are
    comparable.

    A session is a basket: the set of tracks listened to in it. Own vectors are point-in-time; vectors of other users are
    of the train part, so the lists of a case never depend on the validation or test plays of others.
    """

    group_decay: float = 0.9  # weight of a group relative to the next newer one
    group_sessions: int = 7  # sessions of a group
    within_decay: float = 1.0  # weight of a session relative to the next newer one in its group
    alpha: float = 0.9  # share of the user's own vector
    neighbors: int = 100  # users whose vectors are averaged

    def fit(self, sessions: TrainSessions) -> TifuKnn:
        """Fit the baseline."""
        return TifuKnn(sessions, self)

    def session_weights(self, age: Ints) -> Floats:
        """Weights of sessions by age, 0 for the newest, before normalization."""
        group, place = np.divmod(age, self.group_sessions)
        return self.within_decay**place * self.group_decay**group


class TifuKnn:
    """Fitted TIFU-KNN; recommends tracks of the catalog and all tracks that the user has listened to.

    Memory: one number per pair of a train user and a track, and one per case of a batch and track that can be among
    its best.
    """

    def __init__(self, sessions: TrainSessions, config: TifuKnnConfig) -> None:
        self.sessions, self.config = sessions, config
        longest = int(sessions.sessions_U.max(initial=0))
        total_S = np.concatenate([[1.0], np.cumsum(config.session_weights(np.arange(longest)))])
        total_E = total_S[sessions.sessions_U[sessions.user_E]]
        self.vectors_IU: csr_array = sessions.vectors(config.session_weights(sessions.age_E) / total_E)
        self.square_U = self.vectors_IU.power(2).sum(0)

    def recall(self, cases: UserCases, k: int) -> Ints:
        """Lists [C, K], best first, padded with 0; empty before the first listen of the user."""
        listens, tracks_T = self.sessions.listens, cases.plays.tracks_T
        column_T = listens.column_V[tracks_T]
        known = np.flatnonzero(column_T >= 0)
        known_KU = self.vectors_IU[column_T[known]]
        own_TC, weights_UC = (part.astype(np.float32) for part in self._score_parts(cases, known, known_KU))
        scores = own_TC.copy()
        scores[known] += known_KU @ weights_UC
        # The smallest k-th best score over the cases.
        minimum = np.partition(scores, len(scores) - k, axis=0)[len(scores) - k].min() if len(scores) >= k else 0.0
        further_M = self._further_candidates(weights_UC, column_T[known], float(minimum))
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

    def _score_parts(self, cases: UserCases, known: Ints, known_KU: csr_array) -> tuple[Floats, Floats]:
        """`alpha` times the user's vectors [T, C], and `(1 - alpha) / neighbors` for the nearest users [U, C]."""
        weight_S = self.config.session_weights(np.arange(cases.plays.sessions))
        total_S = np.concatenate([[1.0], np.cumsum(weight_S)])
        own_C = [
            cases.plays.sum_over_sessions(number, weight_S) / total_S[cases.plays.count_sessions(number)]
            for number in cases.play_number_C.tolist()
        ]
        own_TC = np.stack(own_C, axis=1)
        # The own vector's length is the same for all users, so the order of distances does not need it.
        distance_UC = self.square_U[:, None] - 2 * (known_KU.T @ own_TC[known])
        is_neighbor_U = self.sessions.sessions_U > 0
        is_neighbor_U[cases.plays.user] = False
        distance_UC[~is_neighbor_U] = np.inf
        neighbors = min(self.config.neighbors, int(is_neighbor_U.sum()))
        nearest_NC = np.argsort(distance_UC, axis=0, kind="stable")[:neighbors]
        weights_UC = np.zeros(distance_UC.shape)
        np.put_along_axis(weights_UC, nearest_NC, (1 - self.config.alpha) / max(neighbors, 1), axis=0)
        return self.config.alpha * own_TC, weights_UC
