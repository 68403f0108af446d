"""The best scores of one row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def top_k_positions(score_N: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Positions of the `k` best scores, best first, ties by smaller position; all if there are fewer."""
    place: NDArray[np.int64] = np.arange(len(score_N))
    if len(score_N) > k:
        # Only the best are sorted; equal scores at the last position are cut off afterwards.
        place = np.flatnonzero(score_N >= np.partition(score_N, len(score_N) - k)[len(score_N) - k])
    best: NDArray[np.int64] = place[np.argsort(-score_N[place], kind="stable")][:k]
    return best
