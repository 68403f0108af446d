"""Linear item-to-item transition model with a closed-form solution (SLIST).

Choi, Kim, Lee, Shim, Lee, "Session-aware Linear Item-Item Models for Session-based Recommendation" (WWW 2021), arXiv
2103.16424. It combines two parts in one ridge regression:

- SLIT: every split of a history into a past S and a future T; listens decay with the distance from the split, and
  splits with their age.
- SLIS: whole histories X, where all items of a history predict each other.

`B = (a·X'X + (1 − a)·S'S + λI)⁻¹ (a·X'X₀ + (1 − a)·S'T)`, where X'X₀ is X'X without its diagonal.

Differences: SLIS keeps an item from predicting itself by a bound on the diagonal of B, after Steck (WWW 2019), arXiv
1905.03251, which needs the whole inverse; here the diagonal of the target is removed. λ is an absolute number there;
here it is a multiple of the mean diagonal of the Gram matrix.

Memory is I² and time I³, hence `transitions.max_items` of the config.

Legend: P listens, U users, I listened items, S splits, B requests, L events, N requested items.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array, diags_array

from training.recall.flat_histories import Array, Histories
from training.recall.realtime.config import TransitionConfig

MIN_DECAY_WEIGHT = 1e-3
"""Listens and splits with a smaller weight are ignored."""
SPLITS_PER_CHUNK = 65_536
TRANSITIONS_FILE = "transitions.safetensors"


@dataclass(frozen=True)
class Transitions:
    """Fitted weights: `weight_II[i, j]` is the contribution of item `item_I[i]` in a history to the score of
    `item_I[j]`.
    """

    config: TransitionConfig
    item_I: Array
    weight_II: Array

    def scores(self, histories: Histories, item_N: Array) -> Array:
        """Scores float32 [B, N] of the items `item_N` (distinct) for each history; 0 for an item without weights."""
        query_BI = histories.to_decayed_matrix(self.item_I, self.config.query_decay)
        score_BN = np.zeros((query_BI.shape[0], len(item_N)), dtype=np.float32)
        _, known_I, known_N = np.intersect1d(self.item_I, item_N, assume_unique=True, return_indices=True)
        score_BN[:, known_N] = (query_BI @ self.weight_II)[:, known_I]
        return score_BN

    def save(self, folder: Path) -> None:
        """Write items and weights as safetensors; the hyperparameters are part of the channel's config."""
        save_file({"item_I": self.item_I, "weight_II": self.weight_II}, folder / TRANSITIONS_FILE)

    @classmethod
    def load(cls, folder: Path, config: TransitionConfig) -> Transitions:
        """The model that `save` wrote."""
        arrays = load_file(folder / TRANSITIONS_FILE)
        return cls(config, arrays["item_I"], arrays["weight_II"])


@lru_cache(maxsize=2)
def fit_transitions(histories: Histories, config: TransitionConfig, length: int) -> Transitions:
    """Solve for the weights, with pasts and futures of at most `length` listens.

    The result is deterministic, so the last two are cached for fits with another seed.
    """
    gram_II, target_II = normal_equations(histories, config, length)
    factor = cholesky_factor(gram_II, config.ridge)
    weight_II = cho_solve(factor, target_II, overwrite_b=True, check_finite=False)
    # Keep at most two matrices of this size in memory.
    del factor, gram_II, target_II
    # Row-major, because requests read rows; the solver's column-major order would be copied for each request.
    return Transitions(config, histories.items, np.ascontiguousarray(weight_II, dtype=np.float32))


def cholesky_factor(gram_II: Array, ridge: float) -> tuple[Array, bool]:
    """Cholesky factor of the Gram matrix plus `ridge` times its mean diagonal on the diagonal; overwrites `gram_II`."""
    gram_II[np.diag_indices(len(gram_II))] += ridge * gram_II.diagonal().mean()
    factor: tuple[Array, bool] = cho_factor(gram_II, lower=True, overwrite_a=True, check_finite=False)
    return factor


def normal_equations(histories: Histories, config: TransitionConfig, length: int) -> tuple[Array, Array]:
    """Gram matrix of the inputs and its product with the targets, float32 [I, I] each, column-major for the solver."""
    count = len(histories.items)
    whole_UI = histories.to_decayed_matrix(histories.items, 0.0)
    whole_UI.sum_duplicates()
    whole_UI.data[:] = config.consistency_weight**0.5
    gram_II = (whole_UI.T @ whole_UI).tocsr()
    target_II = gram_II - diags_array(gram_II.diagonal(), format="csr")
    for past_SI, future_SI, weight_S in _splits(histories, config, length, count):
        past_IS = (past_SI.T * (np.float32(1 - config.consistency_weight) * weight_S)).tocsr()
        gram_II, target_II = gram_II + past_IS @ past_SI, target_II + past_IS @ future_SI
    return gram_II.toarray(order="F"), target_II.toarray(order="F")


def _splits(
    histories: Histories, config: TransitionConfig, length: int, count: int
) -> Iterator[tuple[csr_array, csr_array, Array]]:
    """Pasts [S, I], futures [S, I] and weights [S] of all splits, in chunks. There is a split after each listen of a
    user except the last.
    """
    column_P = np.searchsorted(histories.items, histories.item_P)
    sizes_U = np.diff(histories.offset_U1)
    first_P, end_P = np.repeat(histories.offset_U1[:-1], sizes_U), np.repeat(histories.offset_U1[1:], sizes_U)
    weight_P = np.exp(-config.split_age_decay * (end_P - 2 - np.arange(len(column_P)))).astype(np.float32)
    split_S = np.flatnonzero((np.arange(len(column_P)) + 1 < end_P) & (weight_P >= MIN_DECAY_WEIGHT))
    for start in range(0, len(split_S), SPLITS_PER_CHUNK):
        chunk_S = split_S[start : start + SPLITS_PER_CHUNK]
        first_S, end_S = first_P[chunk_S], end_P[chunk_S]
        past = _decayed_window(column_P, chunk_S, -1, first_S, end_S, config.past_decay, length, count)
        future = _decayed_window(column_P, chunk_S + 1, 1, first_S, end_S, config.future_decay, length, count)
        yield past, future, weight_P[chunk_S]


def _decayed_window(
    column_P: Array, begin_S: Array, step: int, first_S: Array, end_S: Array, decay: float, length: int, count: int
) -> csr_array:
    """Decayed listens [S, count] from position `begin_S` forwards (`step` 1) or backwards (-1), in first_S..end_S."""
    rows, columns, values = [], [], []
    for distance in range(length):
        weight = np.exp(-decay * distance)
        at_S = begin_S + step * distance
        row = np.flatnonzero((at_S >= first_S) & (at_S < end_S))
        if weight < MIN_DECAY_WEIGHT or not len(row):
            break
        rows.append(row)
        columns.append(column_P[at_S[row]])
        values.append(np.full(len(row), weight, dtype=np.float32))
    if not rows:
        return csr_array((len(begin_S), count), dtype=np.float32)
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return csr_array(entries, shape=(len(begin_S), count))
