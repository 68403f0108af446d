"""iALS: users and tracks as vectors whose product says whether a user listens, fitted by alternating least squares.

Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets" (ICDM 2008): every pair counts, one that
was listened to with the confidence `1 + α·strength`, any other with 1. Differs from the paper: strength is the count
raised to a power. The library `implicit` fits the same model by conjugate gradients, for many users; here tracks
outnumber users by a thousand to one and most have one listener, so a track's vector is a system of as many equations as
it has listeners, solved exactly and many at once (docs/adr/0019). Legend: U users, I tracks, D width, T tracks of one
user, C cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from training.evaluation.baselines.listen_matrix import ListenMatrix, raise_counts

SEED = 0

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class IALSConfig:
    """`confidence` is α, `regularization` λ; a listen that was repeated n times has the strength n^`power`."""

    width: int
    regularization: float
    confidence: float
    power: float
    rounds: int = 5

    def fit(self, listens: ListenMatrix) -> IALS:
        """The baseline with these parameters."""
        return IALS(listens, self)


class IALS:
    """The vectors of tracks; a case gets its user's vector from its own past."""

    def __init__(self, listens: ListenMatrix, config: IALSConfig) -> None:
        self.config = config
        weight_UI = listens.raise_counts(config.power) * config.confidence
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
        """Set the vectors of tracks, `share_IU @ base_UD`, to what those of users ask for."""
        regularization_DD = self.config.regularization * np.eye(self.config.width)
        base_UD = user_UD @ np.linalg.inv(user_UD.T @ user_UD + regularization_DD)
        self.share_IU = _user_coefficients(weight_IU, by_listeners, base_UD @ user_UD.T).astype(np.float32)
        self.base_UD = base_UD.astype(np.float32)
        self.item_ID: NDArray[np.float32] = self.share_IU @ self.base_UD
        self.gram_DD = (self.item_ID.T @ self.item_ID).astype(np.float64) + regularization_DD

    def scores(self, columns_T: NDArray[np.int64], counts_CT: NDArray[np.int64]) -> NDArray[np.float32]:
        """A score of every track for every case, [I, C]."""
        weight_CT = raise_counts(counts_CT, self.config.power) * np.float32(self.config.confidence)
        user_CD = self._solve_user_factors(columns_T, weight_CT)
        # Over the few users that listened to a track, not over the width of its vector.
        scores_IC: NDArray[np.float32] = self.share_IU @ (self.base_UD @ user_CD.T.astype(np.float32))
        return scores_IC

    def _solve_user_factors(self, columns_T: NDArray[np.integer], weight_CT: NDArray[np.float32]) -> Floats:
        """The vector of each of some pasts, [C, D]; quick where a past differs little from the one before it."""
        item_TD = self.item_ID[columns_T].astype(np.float64)
        system_DD, wanted_D = self.gram_DD.copy(), np.zeros(len(self.gram_DD))
        systems, wanted, before_T = [], [], np.zeros(len(columns_T), dtype=np.float32)
        for weight_T in weight_CT:
            changed = np.flatnonzero(weight_T != before_T)
            more, is_heard = weight_T[changed] - before_T[changed], weight_T[changed] > 0
            newly = is_heard.astype(np.float64) - (before_T[changed] > 0)
            system_DD = system_DD + (item_TD[changed].T * more) @ item_TD[changed]
            wanted_D = wanted_D + (more + newly) @ item_TD[changed]
            systems.append(system_DD)
            wanted.append(wanted_D)
            before_T = weight_T
        users_CD: Floats = np.linalg.solve(np.stack(systems), np.stack(wanted)[..., None])[..., 0]
        return users_CD


def _user_weights(weight_UI: csr_array, user: int) -> tuple[NDArray[np.integer], NDArray[np.float32]]:
    """Which tracks a user listened to, and the weight of each, [1, T]."""
    place = slice(weight_UI.indptr[user], weight_UI.indptr[user + 1])
    return weight_UI.indices[place], weight_UI.data[None, place]


def _group_by_user_count(weight_IU: csr_array) -> list[Ints]:
    """Where the weights of tracks stand, [J, N], for each number of listeners N that J tracks have."""
    listeners_I = np.diff(weight_IU.indptr)
    return [
        weight_IU.indptr[:-1][listeners_I == listeners, None] + np.arange(listeners)
        for listeners in np.unique(listeners_I)
    ]


def _user_coefficients(weight_IU: csr_array, by_listeners: list[Ints], near_UU: Floats) -> csr_array:
    """How much of each listener's base is in a track's vector.

    With W the weights of a track, V the vectors of its N listeners and G common to all tracks, the vector
    `(G + V'WV)⁻¹ V'(1 + W)1` is `G⁻¹V' · (I + W·VG⁻¹V')⁻¹ (1 + W)1`: a system of N equations.
    """
    share_IU = weight_IU.astype(np.float64)
    for place_JN in by_listeners:
        user_JN, weight_JN = weight_IU.indices[place_JN], share_IU.data[place_JN]
        system_JNN = weight_JN[:, :, None] * near_UU[user_JN[:, :, None], user_JN[:, None, :]]
        system_JNN += np.eye(place_JN.shape[1])
        if place_JN.shape[1] == 1:
            share_IU.data[place_JN] = (1 + weight_JN) / system_JNN[..., 0]
        else:
            share_IU.data[place_JN] = np.linalg.solve(system_JNN, (1 + weight_JN)[..., None])[..., 0]
    return share_IU
