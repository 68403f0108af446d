"""Counts that fade: how often the candidate was played and listened to, where a play weighs less the longer ago it was.

Shape letters: B requests, C candidates, P occurrences. See `search.py`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from training.ranking.hard_search import Array, Found, listened_share
from training.ranking.search import Search
from training.ranking.user_features import DAY_US, HOUR_US

PLAYS, DAYS = (20, 100, 500), (1, 7, 30)
"""Half-lives of a play's weight."""
USER_PLAYS = (1, 2, 4, 8, 16, 32, 64, 128)
REACH = 600
HOURS = 2


class FadingSearch(Search):
    """Counts with several half-lives, in plays and in days, and the plays at this time of the day."""

    user_numbers: ClassVar[int] = len(USER_PLAYS)
    candidate_numbers: ClassVar[int] = 2 * 2 * (len(PLAYS) + len(DAYS) + 1)

    def of_users(self) -> list[Array]:
        """The share of listens among all plays, by half-life."""
        outcome_BN = self.newest(self.outcomes.outcome_BL, REACH)
        weight_NW = (0.5 ** (np.arange(REACH)[:, None] / np.array(USER_PLAYS))).astype(np.float32)
        listens_BW, skips_BW = (is_BN.astype(np.float32) @ weight_NW for is_BN in (outcome_BN > 0, outcome_BN < 0))
        return list(listened_share(listens_BW, skips_BW).T)

    def of_candidates(self, found: Found) -> list[Array]:
        """For track and artist: count (log2 of 1 +) and share of listens, by half-life and within HOURS of this time of
        the day.
        """
        columns: list[Array] = []
        for match in found:
            listened_P, ago_P = self.listened(match), self.plays_ago(match)
            age_P = self.request_at_B[match.user_P] - self.history.ended_at_BL[match.user_P, match.place_P]
            weights = [0.5 ** (ago_P / half_life) for half_life in PLAYS]
            weights += [0.5 ** (age_P / (half_life * DAY_US)) for half_life in DAYS]
            time_P = age_P % DAY_US
            weights.append(np.minimum(time_P, DAY_US - time_P) <= HOURS * HOUR_US)
            for weight_P in weights:
                columns += match.weighed(weight_P, listened_P)
        return columns
