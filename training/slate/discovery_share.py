"""Which places of a list are for discoveries, and the one list that comes of it.

The first repeats of a list are many times likelier to be listened to than any discovery, the hundredth are not. So
discoveries begin thin and grow denser: at place x they have `share * min(1, x / DENSE_FROM) ** (1 - share)` of the
places, which is none for share 0 and all for share 1. Legend: B requests, K candidates. Knows nothing about channels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FULL_DENSITY_POSITION = 100

Ints = NDArray[np.int64]


def discovery_slot_mask(share: float, k: int) -> NDArray[np.bool_]:
    """Which of the first `k` places are for a discovery, [k]; fewer places are the beginning of more.

    Raises:
        ValueError: `share` is outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"discovery share {share} is outside [0, 1]")
    density_K = share * np.minimum(1, (np.arange(k) + 0.5) / FULL_DENSITY_POSITION) ** (1 - share)
    count_K = np.floor(density_K.cumsum() + 0.5)
    places: NDArray[np.bool_] = np.diff(count_K, prepend=0) > 0
    return places


def interleave_discoveries(repeats_BK: Ints, discoveries_BK: Ints, share: float, k: int) -> Ints:
    """One list of `k` from two that have nothing in common; 0 is none, at the end. Where one ends the other goes on."""
    is_discovery_K = discovery_slot_mask(share, k)
    place_2K = np.concatenate(
        [
            _slot_positions(~is_discovery_K, repeats_BK.shape[1]),
            _slot_positions(is_discovery_K, discoveries_BK.shape[1]),
        ]
    )
    both_BK = np.concatenate([repeats_BK, discoveries_BK], axis=1)
    order_BK = np.argsort(np.where(both_BK > 0, place_2K, np.iinfo(np.int64).max), axis=1, kind="stable")[:, :k]
    merged_BK = np.zeros((len(both_BK), k), dtype=np.int64)
    merged_BK[:, : order_BK.shape[1]] = np.take_along_axis(both_BK, order_BK, axis=1)
    return merged_BK


def _slot_positions(is_mine_K: NDArray[np.bool_], count: int) -> Ints:
    """Where the first `count` of a list go: its own places, then behind all of them."""
    mine = np.flatnonzero(is_mine_K)[:count]
    return np.concatenate([mine, len(is_mine_K) + np.arange(len(mine), count)])
