"""Neighbor search: how often the candidate was played near earlier plays of the tracks that were played just now.

Tracks that are close in a history belong together: an album, a playlist, a mood. Each earlier play has a weight if its
track is among the newest plays, by their outcome; the feature of a candidate is the sum of the weights around its own
plays. This is item-to-item collaborative filtering (Sarwar et al. 2001, "Item-based Collaborative Filtering
Recommendation Algorithms", WWW) over positions of one user's history instead of over users.

Shape letters: B requests, C candidates, S track and artist, R rows of matches, L plays, W windows. See `history_search.py`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from training.engine.numba_compile import compiled
from training.ranking.features.history_match import Array, History, Matches, Outcomes, encode_sums
from training.ranking.features.history_search import HistorySearch

RECENT_PLAYS = 20
HALF_LIFE = 5.0
WINDOWS = (1, 5)


class NeighbourSearch(HistorySearch):
    """Co-occurrence of the candidate's earlier plays with the newest plays."""

    user_feature_count: ClassVar[int] = 0
    candidate_feature_count: ClassVar[int] = 2 * 3 * len(WINDOWS)

    def compute_user_features(self) -> Array:
        """Return no columns."""
        return np.zeros((len(self.request_at_B), 0))

    def compute_candidate_features(self, matches: Matches) -> Array:
        """Return, for track and artist and by window, three columns.

        log2(1 + weight) of newest plays that were listened to and occurred near the candidate's plays, the share of
        listens among these plays of the candidate, and log2(1 + weight) of newest plays that were skipped.
        """
        weight_BSL2 = _recent_play_weights(self.history, self.outcomes)
        sum_RW3 = _sum_windows(self.outcomes, matches, weight_BSL2)
        encode_sums(sum_RW3)
        sum_RW3[..., 2] = np.log2(1 + sum_RW3[..., 2])
        return matches.to_columns(sum_RW3.reshape(len(sum_RW3), -1))


@compiled
def _recent_play_weights(history: History, outcomes: Outcomes) -> Array:
    """Weight of each play, by track and by artist [B, S, L, 2]: the weight of the newest play of the same track, if listened to or
    if skipped.

    The newest plays themselves have weight 0.
    """
    B, S, L = history.code_BSL.shape
    weight_BSL2 = np.zeros((B, S, L, 2))
    for b in range(B):
        begin = max(history.length_B[b] - RECENT_PLAYS, 0)
        for s in range(S):
            for position in range(begin):
                newest = history.length_B[b] - 1
                while newest >= begin and history.code_BSL[b, s, newest] != history.code_BSL[b, s, position]:
                    newest -= 1
                outcome = outcomes.outcome_BL[b, newest]
                if newest >= begin and history.code_BSL[b, s, position] >= 0 and outcome != 0:
                    weight = 0.5 ** ((history.length_B[b] - 1 - newest) / HALF_LIFE)
                    weight_BSL2[b, s, position, 0 if outcome > 0 else 1] = weight
    return weight_BSL2


@compiled
def _sum_windows(outcomes: Outcomes, matches: Matches, weight_BSL2: Array) -> Array:
    """Summed weights in each window around the occurrences of each row, without their own [R, W, 3].

    Of newest plays that were listened to, of those around listens of the candidate, and of newest plays that were skipped.
    """
    B, S, C = matches.row_BSC.shape
    sum_RW3 = np.zeros((B * S * C, len(WINDOWS), 3))
    for row in range(B * S * C):
        b, s = row // (S * C), row // C % S
        for position in matches.position_P[matches.begin_R1[row] : matches.begin_R1[row + 1]]:
            for w, window in enumerate(WINDOWS):
                for near in range(max(position - window, 0), min(position + window + 1, weight_BSL2.shape[2])):
                    if near != position:
                        sum_RW3[row, w, 0] += weight_BSL2[b, s, near, 0]
                        sum_RW3[row, w, 1] += weight_BSL2[b, s, near, 0] * (outcomes.outcome_BL[b, position] > 0)
                        sum_RW3[row, w, 2] += weight_BSL2[b, s, near, 1]
    return sum_RW3
