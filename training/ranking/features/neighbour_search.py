"""Neighbor search: how often the candidate was played near earlier plays of the tracks that were played just now.

Tracks that are close in a history belong together: an album, a playlist, a mood. Each earlier play has a weight if its
track is among the newest plays, by their outcome; the feature of a candidate is the sum of the weights around its own
plays. This is item-to-item collaborative filtering (Sarwar et al. 2001, "Item-based Collaborative Filtering
Recommendation Algorithms", WWW) over positions of one user's history instead of over users.

Shape letters: B requests, C candidates, L plays, N newest plays, P occurrences. See `history_search.py`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from training.ranking.features.history_match import Array, Matches, TrackArtistMatches
from training.ranking.features.history_search import HistorySearch

RECENT_PLAYS = 20
HALF_LIFE = 5.0
WINDOWS = (1, 5)


class NeighbourSearch(HistorySearch):
    """Co-occurrence of the candidate's earlier plays with the newest plays."""

    user_feature_count: ClassVar[int] = 0
    candidate_feature_count: ClassVar[int] = 2 * 3 * len(WINDOWS)

    def compute_user_features(self) -> list[Array]:
        """Return no columns."""
        return []

    def compute_candidate_features(self, matches: TrackArtistMatches) -> list[Array]:
        """Return, for track and artist and by window, three columns.

        log2(1 + weight) of newest plays that were listened to and occurred near the candidate's plays, the share of
        listens among these plays of the candidate, and log2(1 + weight) of newest plays that were skipped.
        """
        columns: list[Array] = []
        for values_BL, match in zip((self.history.track_BL, self.history.artist_BL), matches, strict=True):
            weights_BL2, listened_P = self._recent_play_weights(values_BL), self.is_listened(match)
            for window in WINDOWS:
                near_listened_P, near_skipped_P = sum_window(weights_BL2, window, match).T
                columns += match.weighted_listen_rate(near_listened_P, listened_P)
                columns.append(np.log2(1 + match.sum_occurrences(near_skipped_P)))
        return columns

    def _recent_play_weights(self, values_BL: Array) -> Array:
        """Return the weight of each play [B, L, 2]: that of the newest play of the same track, if listened to or if
        skipped.

        The newest plays themselves have weight 0.
        """
        B, L = values_BL.shape
        weights_BL2 = np.zeros((B, L, 2), np.float32)
        outcome_BN = self.newest_values(self.outcomes.outcome_BL, RECENT_PLAYS)
        weight_N = (0.5 ** (np.arange(RECENT_PLAYS) / HALF_LIFE)).astype(np.float32)
        weight_BN2 = np.stack([outcome_BN > 0, outcome_BN < 0], axis=2) * weight_N[:, None]
        # A lookup table of weights, read once per play; unknown tracks, -1, read its last entry.
        table = np.zeros((int(values_BL.max(initial=0)) + 2, 2), np.float32)
        for b, length in enumerate(self.history.length_B):
            begin = max(length - RECENT_PLAYS, 0)
            value_N = values_BL[b, begin:length]
            table[value_N] = weight_BN2[b, : length - begin][::-1]  # of equal tracks the newest is written last
            table[-1] = 0
            weights_BL2[b, :begin] = table[values_BL[b, :begin]]
            table[value_N] = 0
        return weights_BL2


def sum_window(weights_BL2: Array, window: int, match: Matches) -> Array:
    """Return the sums of the weights at most `window` positions from each occurrence, without its own [P, 2]."""
    B, L, _ = weights_BL2.shape
    # Prefix sums: each window is the difference of two of them.
    sums_BL2 = np.zeros((B, L + 1, 2))
    np.cumsum(weights_BL2, axis=1, out=sums_BL2[:, 1:])
    user_P, position_P = match.user_P, match.position_P
    begin_P, end_P = np.maximum(position_P - window, 0), np.minimum(position_P + window + 1, L)
    near_P2: Array = sums_BL2[user_P, end_P] - sums_BL2[user_P, begin_P] - weights_BL2[user_P, position_P]
    return np.maximum(near_P2, 0)  # rounding may make an empty sum slightly negative
