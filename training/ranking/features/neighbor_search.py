"""Neighbor search: how often the candidate was played near earlier plays of the tracks that were played just now.

Tracks that are close in a history belong together: an album, a playlist, a mood. Each earlier play has a weight if its
track is among the newest plays, by their outcome; the feature of a candidate is the sum of the weights around its own
plays. This is item-to-item collaborative filtering (Sarwar et al. 2001, "Item-based Collaborative Filtering
Recommendation Algorithms", WWW) over positions of one user's history instead of over users.

Shape letters: B requests, C candidates, S track and artist, L plays, N newest plays, D distinct ones, P occurrences, W
windows. See `history_search.py`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from training.ranking.features.history_match import Array, PlayMatches
from training.ranking.features.history_search import HistorySearch, sides_to_columns

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

    def compute_candidate_features(self, matches: PlayMatches) -> Array:
        """Return, for track and artist and by window, three columns.

        log2(1 + weight) of newest plays that were listened to and occurred near the candidate's plays, the share of
        listens among these plays of the candidate, and log2(1 + weight) of newest plays that were skipped.
        """
        near_PW2 = self._sum_windows(matches)
        near_listened = np.stack(matches.weighted_listen_rates(near_PW2[..., 0]), axis=4)
        near_skipped = np.log2(1 + matches.sum_occurrences(near_PW2[..., 1]))
        columns = np.concatenate([near_listened, near_skipped[..., None]], axis=4)
        return sides_to_columns(columns.reshape(*columns.shape[:3], -1))

    def _sum_windows(self, matches: PlayMatches) -> Array:
        """Return the sums of the weights in each window around each occurrence, without its own [P, W, 2]."""
        weight_BSL2 = self._recent_play_weights()
        B, S, L, _ = weight_BSL2.shape
        # Prefix sums: each window is the difference of two of them.
        sum_BSL2 = np.zeros((B, S, L + 1, 2))
        np.cumsum(weight_BSL2, axis=2, out=sum_BSL2[:, :, 1:])
        sum_X2, position_P1, window_W = sum_BSL2.reshape(-1, 2), matches.position_P[:, None], np.array(WINDOWS)
        first_P1 = (L + 1) * matches.sequence_P[:, None]
        begin_PW, end_PW = np.maximum(position_P1 - window_W, 0), np.minimum(position_P1 + window_W + 1, L)
        own_P12 = weight_BSL2.reshape(-1, 2)[L * matches.sequence_P + matches.position_P][:, None]
        near_PW2: Array = sum_X2[first_P1 + end_PW] - sum_X2[first_P1 + begin_PW] - own_P12
        return np.maximum(near_PW2, 0)  # rounding may make an empty sum slightly negative

    def _recent_play_weights(self) -> Array:
        """Return the weight of each play, by track and by artist [B, S, L, 2]: that of the newest play of the same
        track, if listened to or if skipped.

        The newest plays themselves have weight 0.
        """
        code_BSL, outcome_BN = self.history.code_BSL, self.newest_values(self.outcomes.outcome_BL, RECENT_PLAYS)
        weight_BSL2 = np.zeros((*code_BSL.shape, 2), np.float32)
        weight_N = (0.5 ** (np.arange(RECENT_PLAYS) / HALF_LIFE)).astype(np.float32)
        weight_BN2 = np.stack([outcome_BN > 0, outcome_BN < 0], axis=2) * weight_N[:, None]
        for code_SL, weight_SL2, weight_N2, length in zip(
            code_BSL, weight_BSL2, weight_BN2, self.history.length_B.tolist(), strict=True
        ):
            begin = max(length - RECENT_PLAYS, 0)
            for code_L, weight_L2 in zip(code_SL, weight_SL2, strict=True):
                # Of equal tracks the newest one counts.
                code_D, newest_D = np.unique(code_L[begin:length][::-1], return_index=True)
                if len(code_D):
                    place = np.minimum(np.searchsorted(code_D, code_L[:begin]), len(code_D) - 1)
                    is_recent = (code_D[place] == code_L[:begin]) & (code_L[:begin] >= 0)
                    weight_L2[:begin] = weight_N2[newest_D[place]] * is_recent[:, None]
        return weight_BSL2
