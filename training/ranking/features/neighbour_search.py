"""Neighbours in the history: whether the candidate used to be played next to what has just been played.

What stands close together in a history belongs together: an album, a playlist, a mood. Every earlier play is marked with
how much of the newest plays used to be around it, listened to or skipped; a candidate is told the marks where it was played
itself. A user's own item-to-item collaborative filtering (Sarwar et al. 2001, "Item-based Collaborative Filtering
Recommendation Algorithms", WWW), over places instead of people.

Shape letters: B requests, C candidates, L plays, N newest plays, P occurrences. See `search.py`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from training.ranking.features.history_match import Array, Matches, TrackArtistMatches
from training.ranking.features.history_search import Search

RECENT_PLAYS = 20
HALF_LIFE = 5.0
WINDOWS = (1, 5)


class NeighbourSearch(Search):
    """What lay around the candidate's earlier plays, held against the newest plays."""

    user_feature_count: ClassVar[int] = 0
    candidate_feature_count: ClassVar[int] = 2 * 3 * len(WINDOWS)

    def compute_user_features(self) -> list[Array]:
        """Nothing: neighbours belong to a candidate."""
        return []

    def compute_candidate_features(self, found: TrackArtistMatches) -> list[Array]:
        """For track and artist, by window: the newest plays that used to be around it, listened to now and skipped now
        (log2 of 1 + weight), and what share of its plays among them was listened to then.
        """
        columns: list[Array] = []
        for values_BL, match in zip((self.history.track_BL, self.history.artist_BL), found, strict=True):
            marks_BL2, listened_P = self._recent_play_weights(values_BL), self.is_listened(match)
            for window in WINDOWS:
                near_P, against_P = sum_window(marks_BL2, window, match).T
                columns += match.weighted_listen_rate(near_P, listened_P)
                columns.append(np.log2(1 + match.sum_occurrences(against_P)))
        return columns

    def _recent_play_weights(self, values_BL: Array) -> Array:
        """What is marked on each play [B, L, 2]: the weight of the newest play of the same, where that was listened to,
        and where it was skipped. The newest plays themselves have no marks.
        """
        B, L = values_BL.shape
        marks_BL2 = np.zeros((B, L, 2), np.float32)
        outcome_BN = self.newest_values(self.outcomes.outcome_BL, RECENT_PLAYS)
        weight_N = (0.5 ** (np.arange(RECENT_PLAYS) / HALF_LIFE)).astype(np.float32)
        weight_BN2 = np.stack([outcome_BN > 0, outcome_BN < 0], axis=2) * weight_N[:, None]
        # A table of what is marked, read once a play; its end is read by what nobody knows: -1.
        table = np.zeros((int(values_BL.max(initial=0)) + 2, 2), np.float32)
        for b, length in enumerate(self.history.length_B):
            begin = max(length - RECENT_PLAYS, 0)
            value_N = values_BL[b, begin:length]
            table[value_N] = weight_BN2[b, : length - begin][::-1]  # of equal ones the newest is written last
            table[-1] = 0
            marks_BL2[b, :begin] = table[values_BL[b, :begin]]
            table[value_N] = 0
        return marks_BL2


def sum_window(marks_BL2: Array, window: int, match: Matches) -> Array:
    """The sums of the marks at most `window` places away from each occurrence, without its own [P, 2]."""
    B, L, _ = marks_BL2.shape
    # Sums of the first so many marks: a window is the difference of two, however wide it is.
    sums_BL2 = np.zeros((B, L + 1, 2))
    np.cumsum(marks_BL2, axis=1, out=sums_BL2[:, 1:])
    user_P, place_P = match.user_P, match.position_P
    begin_P, end_P = np.maximum(place_P - window, 0), np.minimum(place_P + window + 1, L)
    near_P2: Array = sums_BL2[user_P, end_P] - sums_BL2[user_P, begin_P] - marks_BL2[user_P, place_P]
    return np.maximum(near_P2, 0)  # of no marks rounding may leave less than nothing
