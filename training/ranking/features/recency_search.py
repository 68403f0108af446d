"""Recency search: outcomes of the last plays of the candidate's track and artist, and their share of the newest plays.

Shape letters: B requests, C candidates, S track and artist, P occurrences. See `history_search.py`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from training.ranking.features.history_match import Array, PlayMatches
from training.ranking.features.history_search import MISSING_DISTANCE, HistorySearch, sides_to_columns

OWN_WINDOWS = (3, 10)
RECENT_WINDOWS = (10, 200, 500)
RATIO_WINDOW = 5
MAX_STREAK = 100
NEVER_AGO = 2**MISSING_DISTANCE - 1


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

    def compute_candidate_features(self, matches: PlayMatches) -> Array:
        """Return, for track and artist, these columns.

        Share of listens among its last 3 and 10 plays; mean played ratio of its last 5 (-1: never played); number among
        the newest 10, 200 and 500 plays, with the share of listens; how many plays ago it was played, listened to and
        skipped (log2; MISSING_DISTANCE: never); number of plays in a row with the outcome of its last play.
        """
        rank_P1, ago_P1 = matches.rank_P[:, None], matches.ago_P[:, None]
        own_count, own_rate = matches.weighted_listen_rates(
            np.concatenate([rank_P1 < np.array(OWN_WINDOWS), ago_P1 < np.array(RECENT_WINDOWS)], axis=1)
        )
        is_last_P, count_BSC1 = matches.rank_P < RATIO_WINDOW, matches.count_BSC[..., None]
        ratio_P = is_last_P * self.outcomes.ratio_BL.ravel()[matches.event_P]
        played_BSC1 = matches.sum_occurrences(ratio_P[:, None])
        newest_BSC, is_listened_P = matches.newest_events(1)[..., 0], matches.listened_P
        L = self.history.code_BSL.shape[2]
        ago_BSC = np.where(newest_BSC >= 0, self.history.length_B[:, None, None] - 1 - newest_BSC % L, NEVER_AGO)
        listened, skipped = (newest_occurrence(matches, is_kind_P) for is_kind_P in (is_listened_P, ~is_listened_P))
        ago_of = [np.append(matches.ago_P, NEVER_AGO)[index] for index in (listened, skipped)]
        # Without a play of the other outcome, the streak is all plays.
        streak_of = [
            np.where(index >= 0, np.append(matches.rank_P, 0)[index], matches.count_BSC)
            for index in (skipped, listened)
        ]
        log_streak, log_other = np.log2(1 + np.stack(streak_of))
        recent = np.stack([own_count[..., 2:], own_rate[..., 2:]], axis=4).reshape(*count_BSC1.shape[:3], -1)
        columns = [
            own_rate[..., :2],
            np.where(count_BSC1, played_BSC1 / np.clip(count_BSC1, 1, RATIO_WINDOW), -1),
            recent,
            np.log2(1 + np.stack([ago_BSC, *ago_of], axis=3)),
            (log_streak - log_other)[..., None],
        ]
        return sides_to_columns(np.concatenate(columns, axis=3))


def newest_occurrence(matches: PlayMatches, is_selected_P: Array) -> Array:
    """Return the index of the newest selected occurrence of each candidate [B, S, C]; -1 without any."""
    index_R = np.full(len(matches.count_R), -1)
    selected = np.flatnonzero(is_selected_P)
    # Occurrences are sorted, oldest first: the newest of a row is written last.
    index_R[matches.row_P[selected]] = selected
    return index_R[matches.row_BSC]
