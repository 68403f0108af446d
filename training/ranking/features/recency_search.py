"""Recency search: outcomes of the last plays of the candidate's track and artist, and their share of the newest plays.

Shape letters: B requests, C candidates, P occurrences. See `history_search.py`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from training.ranking.features.history_match import Array, Matches, TrackArtistMatches
from training.ranking.features.history_search import MISSING_DISTANCE, HistorySearch

OWN_WINDOWS = (3, 10)
RECENT_WINDOWS = (10, 200, 500)
RATIO_WINDOW = 5
MAX_STREAK = 100


class RecencyFeatures(HistorySearch):
    """Shares of listens among the last plays of a track (or artist), and among the newest plays."""

    user_feature_count: ClassVar[int] = 1
    candidate_feature_count: ClassVar[int] = 2 * (len(OWN_WINDOWS) + 1 + 2 * len(RECENT_WINDOWS) + 3 + 1)

    def compute_user_features(self) -> list[Array]:
        """Return log2(1 + current streak of equal outcomes), at most MAX_STREAK plays, negative for skips."""
        outcome_BN = self.newest_values(self.outcomes.outcome_BL, MAX_STREAK + 1)
        streak_B = (outcome_BN != outcome_BN[:, :1]).argmax(axis=1)
        streak_B = np.where(outcome_BN[:, -1] == outcome_BN[:, 0], MAX_STREAK, streak_B)
        return [outcome_BN[:, 0] * np.log2(1 + streak_B)]

    def compute_candidate_features(self, matches: TrackArtistMatches) -> list[Array]:
        """Return, for track and artist, these columns.

        Share of listens among its last 3 and 10 plays; mean played ratio of its last 5 (-1: never played); number among
        the newest 10, 200 and 500 plays, with the share of listens; how many plays ago it was played, listened to and
        skipped (log2; MISSING_DISTANCE: never); number of plays in a row with the outcome of its last play.
        """
        columns: list[Array] = []
        for match in matches:
            listened_P, rank_P = self.is_listened(match), match.recency_rank_P
            columns += [match.weighted_listen_rate(rank_P < last, listened_P)[1] for last in OWN_WINDOWS]
            is_last_P = rank_P < RATIO_WINDOW
            played_BC = match.sum_occurrences(is_last_P * self.outcomes.ratio_BL[match.user_P, match.position_P])
            columns.append(np.where(match.count_BC, played_BC / np.clip(match.count_BC, 1, RATIO_WINDOW), -1))
            plays_ago_P = self.plays_ago(match)
            for newest in RECENT_WINDOWS:
                columns += match.weighted_listen_rate(plays_ago_P < newest, listened_P)
            for selected_P in (np.ones_like(listened_P), listened_P, ~listened_P):
                columns.append(np.log2(1 + newest_value(match, plays_ago_P, selected_P, 2**MISSING_DISTANCE - 1)))
            count_R = match.count_R
            listens_BC, skips_BC = (
                newest_value(match, rank_P, selected_P, count_R) for selected_P in (~listened_P, listened_P)
            )
            columns.append(np.log2(1 + listens_BC) - np.log2(1 + skips_BC))
        return columns


def newest_value(match: Matches, values_P: Array, is_selected_P: Array, otherwise: float | Array) -> Array:
    """Return the value at the newest selected occurrence [B, C]; `otherwise` (scalar, or per row) without any."""
    value_R = np.full(len(match.count_R), otherwise, dtype=np.float64)
    # Occurrences are sorted, oldest first: the newest value of a row is written last.
    value_R[match.row_P[is_selected_P]] = values_P[is_selected_P]
    return value_R[match.row_BC]
