"""The best scores of one row.

The highest scores of many, without sorting all of them.

Legend: C cases, K candidates, I items.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    """The `k` highest scoring items of each case [C, k], ties by smaller item; -1 if fewer score above 0."""
    top_CK = np.full((scores_IC.shape[1], k), -1, dtype=np.int64)
    for score_I, top_K in zip(scores_IC.T, top_CK, strict=True):
        best = top_k_positions(score_I, k)
        best = best[score_I[best] > 0]
        top_K[: len(best)] = best
    return top_CK
