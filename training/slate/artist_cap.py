"""Diversity of artists in a slate: a cap on tracks per artist, and spacing of artists.

A tight cap costs tracks that users come back for; the evaluation report shows the price of several caps on validation
(`cap_table`), and of the cap of the daily list on test. MAX_TRACKS_PER_ARTIST is a decision for the product: without a
cap half of the daily lists of real logs have 9 or more of 30 tracks by one artist.

Legend: C candidates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_TRACKS_PER_ARTIST = 4

Ints = NDArray[np.int64]


def cap_tracks_per_artist(artist_C: Ints, cap: int) -> Ints:
    """Positions, in order, of candidates among the first `cap` of their artist.

    Unknown artists (codes below 2) are not capped, since they need not be the same artist.
    """
    order = np.argsort(artist_C, kind="stable")
    sorted_artist = artist_C[order]
    number = np.arange(len(order)) - np.searchsorted(sorted_artist, sorted_artist)
    return np.sort(order[(number < cap) | (sorted_artist < 2)])


def space_artists(artist_C: Ints) -> list[int]:
    """Positions of all candidates, reordered so that neighbors have different artists as far as possible.

    Each step takes the first remaining candidate whose artist differs from the one before; if there is none, the first.
    Unknown artists (codes below 2) differ from all.
    """
    remaining, order = list(range(len(artist_C))), list[int]()
    while remaining:
        before = int(artist_C[order[-1]]) if order else 0
        place = next((one for one in remaining if before < 2 or artist_C[one] != before), remaining[0])
        remaining.remove(place)
        order.append(place)
    return order
