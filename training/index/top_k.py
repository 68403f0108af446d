"""The best scores of one row.

The highest scores of many, without sorting all of them.

Legend: C cases, K candidates, I items, G groups of items.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

GROUPS = 2048  # disjoint groups of items; their maxima bound the top scores, so that few scores are sorted
MIN_SCORE = np.finfo(np.float32).tiny

Ints = NDArray[np.int64]


def top_k_positions(score_N: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Positions of the `k` best scores, best first, ties by smaller position; all if there are fewer."""
    place: NDArray[np.int64] = np.arange(len(score_N))
    if len(score_N) > k:
        # Only the best are sorted; equal scores at the last position are cut off afterwards.
        ordered_N = score_N.copy()
        ordered_N.partition(len(score_N) - k)
        (place,) = (score_N >= ordered_N[len(score_N) - k]).nonzero()
    best: NDArray[np.int64] = place[(-score_N[place]).argsort(kind="stable")][:k]
    return best


def top_k(scores_IC: NDArray[np.float32], k: int) -> Ints:
    """The `k` highest scoring items of each case [C, k], ties by smaller item; -1 if fewer score above 0.

    Not all of the scores, which are very many, are sorted.
    """
    item, case = np.divmod(np.flatnonzero(scores_IC >= _score_threshold(scores_IC, k)), scores_IC.shape[1])
    order = np.lexsort((item, -scores_IC[item, case], case))
    item, case = item[order], case[order]
    rank = np.arange(len(case)) - np.searchsorted(case, case)
    is_top = rank < k
    top_CK = np.full((scores_IC.shape[1], k), -1, dtype=np.int64)
    top_CK[case[is_top], rank[is_top]] = item[is_top]
    return top_CK


def _score_threshold(scores_IC: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """A score that at least `k` items of each case reach: the k-th best maximum of disjoint groups, or MIN_SCORE."""
    items, cases = scores_IC.shape
    size = items // GROUPS
    if not size or k > GROUPS:
        return np.full(cases, MIN_SCORE, dtype=np.float32)
    best_GC = scores_IC[: size * GROUPS].reshape(size, GROUPS, cases).max(0)
    kth_C = np.partition(best_GC.T, GROUPS - k, axis=1)[:, GROUPS - k]
    floor_C: NDArray[np.float32] = np.maximum(kth_C, MIN_SCORE)
    return floor_C
