"""Time-decayed search: plays and listens of the candidate, weighted by their age.

Shape letters: B requests, C candidates, N newest plays, P occurrences, W half-lives. See `history_search.py`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from training.ranking.features.history_match import Array, PlayMatches, smoothed_listen_rate
from training.ranking.features.history_search import HistorySearch, sides_to_columns
from training.ranking.features.user_features import DAY_US, HOUR_US

PLAY_HALF_LIVES, DAY_HALF_LIVES = (20, 100, 500), (1, 7, 30)
"""Half-lives of a play's weight, in plays and in days."""
USER_HALF_LIVES = (1, 2, 4, 8, 16, 32, 64, 128)
MAX_HISTORY = 600
HOUR_WINDOW = 2


class TimeDecaySearch(HistorySearch):
    """Counts with several half-lives, in plays and in days, and counts of plays at this time of day."""

    user_feature_count: ClassVar[int] = len(USER_HALF_LIVES)
    candidate_feature_count: ClassVar[int] = 2 * 2 * (len(PLAY_HALF_LIVES) + len(DAY_HALF_LIVES) + 1)

    def compute_user_features(self) -> list[Array]:
        """Return the share of listens among all plays, by half-life."""
        outcome_BN = self.newest_values(self.outcomes.outcome_BL, MAX_HISTORY)
        weight_NW = (0.5 ** (np.arange(MAX_HISTORY)[:, None] / np.array(USER_HALF_LIVES))).astype(np.float32)
        listens_BW, skips_BW = (is_BN.astype(np.float32) @ weight_NW for is_BN in (outcome_BN > 0, outcome_BN < 0))
        return list(smoothed_listen_rate(listens_BW, skips_BW).T)

    def compute_candidate_features(self, matches: PlayMatches) -> Array:
        """Return, for track and artist, log2(1 + count) and share of listens: by half-life, and within HOUR_WINDOW
        hours of this time of day.
        """
        L = self.history.code_BSL.shape[2]
        age_P = self.request_at_B[matches.event_P // L] - self.history.ended_at_BL.ravel()[matches.event_P]
        time_P = age_P % DAY_US
        half_lives = np.array(PLAY_HALF_LIVES), np.array(DAY_HALF_LIVES) * DAY_US
        exponents = [
            value_P[:, None] / half_life for value_P, half_life in zip((matches.ago_P, age_P), half_lives, strict=True)
        ]
        is_near_P = np.minimum(time_P, DAY_US - time_P) <= HOUR_WINDOW * HOUR_US
        weight_PK = np.concatenate([0.5 ** np.concatenate(exponents, axis=1), is_near_P[:, None]], axis=1)
        both = np.stack(matches.weighted_listen_rates(weight_PK), axis=4)
        return sides_to_columns(both.reshape(*both.shape[:3], -1))
