"""Sets of integer keys, several times as fast as `np.unique` and `np.isin` for some thousand keys, and the best of many scores.

Legend: N keys or scores, M distinct keys, C cases, I items.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.array_types import Ints


def unique_values(key_N: np.ndarray) -> np.ndarray:
    """The distinct keys [M]."""
    key_N = key_N.copy()
    key_N.sort()
    return key_N[first_occurrence_mask(key_N)]


def unique_inverse(key_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct keys [M], and for each key its index among them [N]."""
    order = key_N.argsort()
    key_N = key_N[order]
    is_first_N = first_occurrence_mask(key_N)
    index_N = np.empty(len(key_N), dtype=np.int64)
    index_N[order] = is_first_N.cumsum() - 1
    return key_N[is_first_N], index_N


def first_occurrence_mask(sorted_N: np.ndarray) -> np.ndarray:
    """Where a sorted key differs from its predecessor."""
    is_first_N = np.empty(len(sorted_N), dtype=bool)
    is_first_N[:1] = True
    is_first_N[1:] = sorted_N[1:] != sorted_N[:-1]
    return is_first_N


def is_among(key_N: np.ndarray, value_M: np.ndarray) -> np.ndarray:
    """Which of the keys, in any shape, are among the values; several times as fast as `np.isin` for some hundred keys."""
    if not len(value_M):
        return np.zeros(key_N.shape, dtype=bool)
    value_M = np.sort(value_M)
    return value_M[np.minimum(value_M.searchsorted(key_N), len(value_M) - 1)] == key_N


def top_k_positions(score_N: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Positions of the `k` best scores, best first, ties by smaller position; all if there are fewer."""
    place: NDArray[np.int64] = np.arange(len(score_N))
    if len(score_N) > k:
        # Only the best are sorted; equal scores at the last position are cut off afterwards.
        ordered_N = score_N.copy()
        ordered_N.partition(len(score_N) - k)
        (place,) = (score_N >= ordered_N[len(score_N) - k]).nonzero()
    return place[(-score_N[place]).argsort(kind="stable")][:k]


def top_k(scores_IC: NDArray[np.float32], k: int) -> Ints:
    """The `k` highest scoring items of each case [C, k], ties by smaller item; -1 if fewer score above 0."""
    top_CK = np.full((scores_IC.shape[1], k), -1, dtype=np.int64)
    for score_I, top_K in zip(scores_IC.T, top_CK, strict=True):
        best = top_k_positions(score_I, k)
        best = best[score_I[best] > 0]
        top_K[: len(best)] = best
    return top_CK
