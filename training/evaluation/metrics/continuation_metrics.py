"""Metrics of playlist continuation, as in the RecSys Challenge 2018.

Zamani, Schedl, Lamere, Chen, "An Analysis of Approaches Taken in the ACM RecSys Challenge 2018 for Automatic Music Playlist
Continuation", arXiv 1810.01520. Differences: R-precision counts tracks only, without the partial credit for artists, and
NDCG has the discount 1 / log2(position + 1) of the other reports.

Legend: C playlists, K recommended tracks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.data.ragged import Ragged

TRACKS_PER_PAGE = 10
"""A click shows the next page of this many tracks."""
MAX_CLICKS = 51
"""Clicks if no track of the playlist is among the first 500."""
METRICS = ("r_precision", "ndcg", "clicks")


def measure(items_CK: NDArray[np.int64], targets: Ragged) -> dict[str, NDArray[np.float64]]:
    """Each of METRICS per playlist [C].

    `r_precision`: share of the first n tracks that are targets, for n targets. `ndcg`: of all K tracks. `clicks`: pages of
    10 tracks to turn until the first target, MAX_CLICKS without any.

    Args:
        items_CK: Recommended tracks, best first, 0 = none.
        targets: The hidden tracks of each playlist, distinct, at least one.
    """
    is_hit_CK = targets.contains(items_CK)
    count_C1 = targets.count_C[:, None]
    place_K = np.arange(items_CK.shape[1])
    discount_K = 1 / np.log2(place_K + 2)
    ideal_C = np.where(place_K < count_C1, discount_K, 0).sum(1)
    first_C = np.where(is_hit_CK.any(1), is_hit_CK.argmax(1) // TRACKS_PER_PAGE, MAX_CLICKS)
    return {
        "r_precision": (is_hit_CK & (place_K < count_C1)).sum(1) / count_C1[:, 0],
        "ndcg": (is_hit_CK * discount_K).sum(1) / ideal_C,
        "clicks": first_C.astype(np.float64),
    }
