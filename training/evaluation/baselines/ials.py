"""iALS: matrix factorization of implicit feedback by alternating least squares.

Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets" (ICDM 2008): every user-track pair counts,
with confidence `1 + α·strength` for listened pairs and 1 for all others. Differs from the paper: strength is the number
of listens raised to a power. The library `implicit` fits the same model by conjugate gradients, for many users; here
tracks outnumber users by a thousand to one and most have one listener, so the vector of a track is the solution of as
many equations as it has listeners, solved exactly and in batches (docs/adr/0019).
Legend: U users, I tracks, D width, T tracks of one user, C cases, J tracks with N listeners.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from training.evaluation.baselines.collaborative_filter import CollaborativeFilter
from training.evaluation.baselines.listen_matrix import raise_counts
from training.evaluation.baselines.user_plays import TrainSessions

SEED = 0

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class IALSConfig:
    """Parameters of iALS."""

    width: int  # D
    regularization: float  # λ
    confidence: float  # α
    power: float  # n listens have strength n^power
    rounds: int = 5

    def fit(self, sessions: TrainSessions) -> IALS:
        """Fit the baseline."""
        return IALS(sessions, self)


class IALS(CollaborativeFilter):
    """Fitted track vectors; the user vector of a case is solved from its history."""

    def __init__(self, sessions: TrainSessions, config: IALSConfig) -> None:
        super().__init__(sessions)
        self.config = config
        weight_UI = self.listens.raise_counts(config.power) * config.confidence
        weight_IU = weight_UI.T.tocsr()
        by_listeners = _group_by_user_count(weight_IU)
        users = weight_UI.shape[0]
        user_UD = np.random.default_rng(SEED).normal(scale=config.width**-0.5, size=(users, config.width))
        for _ in range(config.rounds):
            self._solve_item_factors(user_UD, weight_IU, by_listeners)
            user_UD = np.concatenate(
                [self._solve_user_factors(*_user_weights(weight_UI, user)) for user in range(users)]
            )
        self._solve_item_factors(user_UD, weight_IU, by_listeners)

    def _solve_item_factors(self, user_UD: Floats, weight_IU: csr_array, by_listeners: list[Ints]) -> None:
        """Solve the track vectors, `share_IU @ base_UD`, given the user vectors."""
        regularization_DD = self.config.regularization * np.eye(self.config.width)
        gram_DD = user_UD.T @ user_UD + regularization_DD
        base_UD = user_UD @ np.linalg.inv(gram_DD)
        self.share_IU = _user_coefficients(weight_IU, by_listeners, user_UD, base_UD, gram_DD).astype(np.float32)
        self.base_UD = base_UD.astype(np.float32)
        self.item_ID: NDArray[np.float32] = self.share_IU @ self.base_UD
        self.gram_DD = (self.item_ID.T @ self.item_ID).astype(np.float64) + regularization_DD

    def scores(self, columns_T: NDArray[np.int64], counts_CT: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of all tracks, [I, C]."""
        weight_CT = raise_counts(counts_CT, self.config.power) * np.float32(self.config.confidence)
        user_CD = self._solve_user_factors(columns_T, weight_CT)
        # Sums over the few listeners of a track instead of over the width of its vector.
        scores_IC: NDArray[np.float32] = self.share_IU @ (self.base_UD @ user_CD.T.astype(np.float32))
        return scores_IC

    def _solve_user_factors(self, columns_T: NDArray[np.integer], weight_CT: NDArray[np.float32]) -> Floats:
        """User vectors [C, D] of consecutive histories; fast if each differs little from the previous one."""
        item_TD = self.item_ID[columns_T].astype(np.float64)
        system_DD, target_D = self.gram_DD.copy(), np.zeros(len(self.gram_DD))
        systems, targets, previous_T = [], [], np.zeros(len(columns_T), dtype=np.float32)
        for weight_T in weight_CT:
            changed = np.flatnonzero(weight_T != previous_T)
            increase, is_played = weight_T[changed] - previous_T[changed], weight_T[changed] > 0
            newly_played = is_played.astype(np.float64) - (previous_T[changed] > 0)
            system_DD = system_DD + (item_TD[changed].T * increase) @ item_TD[changed]
            target_D = target_D + (increase + newly_played) @ item_TD[changed]
            systems.append(system_DD)
            targets.append(target_D)
            previous_T = weight_T
        users_CD: Floats = np.linalg.solve(np.stack(systems), np.stack(targets)[..., None])[..., 0]
        return users_CD


def _user_weights(weight_UI: csr_array, user: int) -> tuple[NDArray[np.integer], NDArray[np.float32]]:
    """Tracks of a user [T] and their weights [1, T]."""
    row = slice(weight_UI.indptr[user], weight_UI.indptr[user + 1])
    return weight_UI.indices[row], weight_UI.data[None, row]


def _group_by_user_count(weight_IU: csr_array) -> list[Ints]:
    """Positions [J, N] of the weights of all tracks with N listeners, for each N."""
    listeners_I = np.diff(weight_IU.indptr)
    return [
        weight_IU.indptr[:-1][listeners_I == listeners, None] + np.arange(listeners)
        for listeners in np.unique(listeners_I)
    ]


def _user_coefficients(
    weight_IU: csr_array, by_listeners: list[Ints], user_UD: Floats, base_UD: Floats, gram_DD: Floats
) -> csr_array:
    """Coefficients of the listeners' base vectors in each track vector.

    With the weights W of a track, the vectors V of its N listeners and G common to all tracks, the track vector
    `x = (G + V'WV)⁻¹ V'(1 + W)1` is `G⁻¹V' · (I + W·VG⁻¹V')⁻¹ (1 + W)1`: a system of N equations. With many listeners, x
    is solved from D equations, and the coefficients are `(1 + W)1 − WVx`.
    """
    width, gram_UU = user_UD.shape[1], base_UD @ user_UD.T
    share_IU = weight_IU.astype(np.float64)
    for position_JN in by_listeners:
        user_JN, weight_JN = weight_IU.indices[position_JN], share_IU.data[position_JN]
        if position_JN.shape[1] > 2 * width:
            user_JND = user_UD[user_JN]
            system_JDD = gram_DD + (user_JND * weight_JN[:, :, None]).swapaxes(1, 2) @ user_JND
            target_JD1 = user_JND.swapaxes(1, 2) @ (1 + weight_JN)[..., None]
            item_JD1 = np.linalg.solve(system_JDD, target_JD1)
            share_IU.data[position_JN] = 1 + weight_JN - weight_JN * (user_JND @ item_JD1)[..., 0]
            continue
        system_JNN = weight_JN[:, :, None] * gram_UU[user_JN[:, :, None], user_JN[:, None, :]]
        system_JNN += np.eye(position_JN.shape[1])
        if position_JN.shape[1] == 1:
            share_IU.data[position_JN] = (1 + weight_JN) / system_JNN[..., 0]
        else:
            share_IU.data[position_JN] = np.linalg.solve(system_JNN, (1 + weight_JN)[..., None])[..., 0]
    return share_IU
