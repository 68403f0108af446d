"""Diversity of a slate: a cap on tracks per artist, spacing of artists, and reranking by maximal marginal relevance (MMR).

A tight cap costs tracks that users come back for; the evaluation report shows the price of several caps on validation
(`cap_table`). MAX_TRACKS_PER_ARTIST is the tightest cap that costs less than 2 % of the recall of an uncapped slate on
the validation part of real logs (15 costs 1.1 %, 10 costs 2.7 %). Slates are evaluated with the cap of the daily scene.

MMR: Carbonell and Goldstein (SIGIR 1998). Difference: the similarity to the selected tracks is their mean rather than
their maximum, since two tracks of one style and mood are common, and after the first such pair the maximum carries no
information.

Legend: C candidates.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from training.slate.blend import scale_by_max

MAX_TRACKS_PER_ARTIST = 15

Ints = NDArray[np.int64]
Floats = NDArray[np.floating]


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


def rerank_mmr(
    scores_C: Floats, similarity_CC: Floats, artist_C: Ints, limit: int, cap: int, strength: float, first: int = 0
) -> list[int]:
    """Positions of the selected candidates, in the order of their selection (greedy MMR).

    Each step selects the candidate with the highest (1 - strength) · score - strength · mean similarity to the
    candidates selected before. Ties keep their order.

    Args:
        scores_C: Positive scores in any unit; scaled so that the best candidate after the `first` ones has 1.
        similarity_CC: Similarities in 0..1. NaN is replaced by the mean, so that it is neutral.
        artist_C: Artist codes.
        limit: Maximum number of candidates to select.
        cap: Maximum number of tracks per artist.
        strength: From 0 (score only) to 1 (similarity only).
        first: Number of leading candidates that are selected already, in their order.
    """
    valid = similarity_CC[~np.isnan(similarity_CC) & ~np.eye(len(scores_C), dtype=bool)]
    filled_CC = np.nan_to_num(similarity_CC, nan=float(valid.mean()) if len(valid) else 0.0)
    score_C = (1 - strength) * scale_by_max(np.where(np.arange(len(scores_C)) < first, 0.0, scores_C))
    similarity_sum_C = np.zeros(len(scores_C))
    is_left_C = np.ones(len(scores_C), dtype=bool)
    count_by_artist = Counter[int]()
    selected: list[int] = []
    while len(selected) < limit and is_left_C.any():
        marginal_C = score_C - strength * similarity_sum_C / max(len(selected), 1)
        marginal_C[:first] = np.inf  # argmax takes the first of them
        position = int(np.argmax(np.where(is_left_C, marginal_C, -np.inf)))
        selected.append(position)
        similarity_sum_C += filled_CC[position]
        is_left_C[position] = False
        artist = int(artist_C[position])
        count_by_artist[artist] += 1
        if artist >= 2 and count_by_artist[artist] >= cap:
            is_left_C &= artist_C != artist
    return selected
