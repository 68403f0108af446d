"""What came of the candidate's track and artist lately: their own last plays, and the last plays of everything.

Shape letters: B requests, C candidates, P occurrences. See `search.py`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from training.ranking.features.history_match import Array, Matches, TrackArtistMatches
from training.ranking.features.history_search import MISSING_DISTANCE, Search

OWN_WINDOWS = (3, 10)
RECENT_WINDOWS = (10, 200, 500)
RATIO_WINDOW = 5
MAX_STREAK = 100


class RecencyFeatures(Search):
    """Shares of listens among the last plays of this track (or artist), and among the last plays of all."""

    user_feature_count: ClassVar[int] = 1
    candidate_feature_count: ClassVar[int] = 2 * (len(OWN_WINDOWS) + 1 + 2 * len(RECENT_WINDOWS) + 3 + 1)

    def compute_user_features(self) -> list[Array]:
        """How many plays in a row ended as the newest one did: log2 of 1 +, LONGEST_RUN at most, negative for skips."""
        outcome_BN = self.newest_values(self.outcomes.outcome_BL, MAX_STREAK + 1)
        run_B = (outcome_BN != outcome_BN[:, :1]).argmax(axis=1)
        run_B = np.where(outcome_BN[:, -1] == outcome_BN[:, 0], MAX_STREAK, run_B)
        return [outcome_BN[:, 0] * np.log2(1 + run_B)]

    def compute_candidate_features(self, found: TrackArtistMatches) -> list[Array]:
        """For track and artist: the share of listens among its last 3 and 10 plays, and how much of the last 5 was
        played (-1: never); how often it is among the last 10, 200 and 500 plays, and with what share; how many plays ago
        it was played, listened to and skipped (log2; MISSING: never); how often in a row it ended as the last time.
        """
        columns: list[Array] = []
        for match in found:
            listened_P, ago_P = self.is_listened(match), match.recency_rank_P
            columns += [match.weighted_listen_rate(ago_P < last, listened_P)[1] for last in OWN_WINDOWS]
            is_last_P = ago_P < RATIO_WINDOW
            played_BC = match.sum_occurrences(is_last_P * self.outcomes.ratio_BL[match.user_P, match.position_P])
            columns.append(np.where(match.count_BC, played_BC / np.clip(match.count_BC, 1, RATIO_WINDOW), -1))
            plays_ago_P = self.plays_ago(match)
            for newest in RECENT_WINDOWS:
                columns += match.weighted_listen_rate(plays_ago_P < newest, listened_P)
            for of_P in (np.ones_like(listened_P), listened_P, ~listened_P):
                columns.append(np.log2(1 + newest_value(match, plays_ago_P, of_P, 2**MISSING_DISTANCE - 1)))
            count_R = match.count_R
            listens_BC, skips_BC = (newest_value(match, ago_P, of_P, count_R) for of_P in (~listened_P, listened_P))
            columns.append(np.log2(1 + listens_BC) - np.log2(1 + skips_BC))
        return columns


def newest_value(match: Matches, values_P: Array, is_of_P: Array, otherwise: float | Array) -> Array:
    """The value at the newest occurrence that is one of those [B, C]; `otherwise` (one, or one a row) where none is."""
    value_R = np.full(len(match.count_R), otherwise, dtype=np.float64)
    # Occurrences are sorted, oldest first: of a row's values the last one written stays.
    value_R[match.row_P[is_of_P]] = values_P[is_of_P]
    return value_R[match.row_BC]
