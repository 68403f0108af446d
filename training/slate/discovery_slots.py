"""Slots of the visible list: which are for repeats and which for discoveries, by the share of discoveries.

A discovery is less likely to be listened to than any of a user's favorites, so a common ranking of both leaves hardly a
discovery in the first 30 positions. Repeats and discoveries therefore have their own slots, and compete only with their
kind: the share of discoveries is what the request or the scene says, whatever the scores are. Likewise, new tracks by
artists that the user knows are more likely to be listened to than those by others, so some slots are for new artists.

Evaluation and serving call the same functions. Legend: C candidates, L slots.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-9  # added before rounding down, so that a share of .1 gives the tenth slot

Bools = NDArray[np.bool_]


def discovery_slots(share: float, count: int, first: int = 0) -> Bools:
    """Which of `count` slots are for discoveries, evenly spaced; the k-th is the first slot n with share * n >= k.

    A repeat comes first unless the share is 1. A larger share has at least as many discoveries in every prefix, and the
    slots of a longer list begin with those of a shorter one.

    Args:
        share: Fraction of discoveries.
        count: Number of slots.
        first: Number of slots before the first of these, in a list that is continued.

    Raises:
        ValueError: `share` is outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"discovery share {share} is outside [0, 1]")
    due = np.floor(share * np.arange(first, first + count + 1) + ROUNDING)
    is_discovery_L: Bools = np.diff(due) > 0
    return is_discovery_L


def new_artist_slots(is_discovery_L: Bools) -> Bools:
    """Which slots are for artists that are new to the user: two of three slots for discoveries."""
    is_new_artist_L: Bools = is_discovery_L & (is_discovery_L.cumsum() % 3 != 0)
    return is_new_artist_L


def feasible_share(share: float, is_discovery_C: Bools, limit: int) -> float:
    """The share of discoveries nearest to `share` that the candidates allow, so that the rarer kind is spread evenly.

    Shares of 0 and 1 are kept: only candidates of one kind are wanted, and others may only follow them.
    """
    if share in (0.0, 1.0) or not len(is_discovery_C):
        return share
    length = min(limit, len(is_discovery_C))
    discoveries = int(is_discovery_C.sum())
    most, least = discoveries / length, 1 - (len(is_discovery_C) - discoveries) / length
    return float(np.clip(share, max(least, 0.0), min(most, 1.0)))
