"""Positions of discoveries in a list, and the interleaving of a list of repeats with a list of discoveries.

The first repeats are many times more likely to be listened to than any discovery, the hundredth repeat is not.
Discoveries therefore become denser further down: at position x they have `share * min(1, x / FULL_DENSITY_POSITION) **
(1 - share)` of the positions, which is none for share 0 and all for share 1. Legend: B requests, K candidates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FULL_DENSITY_POSITION = 100

Ints = NDArray[np.int64]


def discovery_slot_mask(share: float, k: int) -> NDArray[np.bool_]:
    """Which of the first `k` positions are for discoveries, bool [k]; independent of `k` for a given position.

    Raises:
        ValueError: `share` is outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"discovery share {share} is outside [0, 1]")
    density_K = share * np.minimum(1, (np.arange(k) + 0.5) / FULL_DENSITY_POSITION) ** (1 - share)
    count_K = np.floor(density_K.cumsum() + 0.5)
    is_discovery_K: NDArray[np.bool_] = np.diff(count_K, prepend=0) > 0
    return is_discovery_K


def interleave_discoveries(repeats_BK: Ints, discoveries_BK: Ints, share: float, k: int) -> Ints:
    """One list of `k` items from two disjoint lists, padded with 0; if one ends, the other fills the rest."""
    is_discovery_K = discovery_slot_mask(share, k)
    position_2K = np.concatenate(
        [
            _slot_positions(~is_discovery_K, repeats_BK.shape[1]),
            _slot_positions(is_discovery_K, discoveries_BK.shape[1]),
        ]
    )
    both_BK = np.concatenate([repeats_BK, discoveries_BK], axis=1)
    order_BK = np.argsort(np.where(both_BK > 0, position_2K, np.iinfo(np.int64).max), axis=1, kind="stable")[:, :k]
    merged_BK = np.zeros((len(both_BK), k), dtype=np.int64)
    merged_BK[:, : order_BK.shape[1]] = np.take_along_axis(both_BK, order_BK, axis=1)
    return merged_BK


def _slot_positions(is_own_K: NDArray[np.bool_], count: int) -> Ints:
    """Positions of the first `count` items of a list: its own slots, then after all slots."""
    slots = np.flatnonzero(is_own_K)[:count]
    return np.concatenate([slots, len(is_own_K) + np.arange(len(slots), count)])
