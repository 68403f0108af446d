"""Further searches by name, in the order of their columns; to add one, write a file here and a line below.

Time-decayed search: plays and listens of the candidate, weighted by their age.

Shape letters: B requests, C candidates, N newest plays, P occurrences, W half-lives. See `history_search.py`.

Recency search: outcomes of the last plays of the candidate's track and artist, and their share of the newest plays.

Shape letters: B requests, C candidates, S track and artist, P occurrences. See `history_search.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from training.ranking.features.content_similarity import CONTENT_FEATURES
from training.ranking.features.context_search import ContextFeatures
from training.ranking.features.genre_search import GENRE_FEATURES
from training.ranking.features.history_match import (
    EVENT_MATCH_FEATURES,
    MATCH_FEATURES,
    Array,
    PlayMatches,
    smoothed_listen_rate,
)
from training.ranking.features.history_search import MISSING_DISTANCE, HistorySearch, sides_to_columns
from training.ranking.features.neighbor_search import NeighbourSearch
from training.ranking.features.user_features import DAY_US, HOUR_US, LONG_WINDOWS

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


SEARCHES: dict[str, type[HistorySearch]] = {
    "lately": RecencyFeatures,
    "fading": TimeDecaySearch,
    "neighbours": NeighbourSearch,
    "situations": ContextFeatures,
}


def select_searches(names: Iterable[str]) -> tuple[type[HistorySearch], ...]:
    """Return the searches of the given names, in the order of the table.

    Raises:
        ValueError: There is no such search.
    """
    selected = set(names)
    if unknown := selected - set(SEARCHES):
        raise ValueError(f"searches {sorted(unknown)} are unknown; choose from {', '.join(SEARCHES)}")
    return tuple(search for name, search in SEARCHES.items() if name in selected)


def count_user_features(hard_search: bool, names: Iterable[str]) -> int:
    """Return the number of user features from the long history."""
    return len(LONG_WINDOWS) + sum(search.user_feature_count for search in select_searches(names)) if hard_search else 0


def count_match_features(
    hard_search: bool, names: Iterable[str], impressions: bool = False, genres: bool = False, content: bool = False
) -> int:
    """Return the number of candidate features from the searched histories.

    Args:
        hard_search: Whether histories are searched at all.
        names: Further searches.
        impressions: Whether unclicked impressions are searched too.
        genres: Whether the genre features are computed.
        content: Whether the content similarity is computed.
    """
    if not hard_search:
        return 0
    further = sum(search.candidate_feature_count for search in select_searches(names))
    switched = ((impressions, 2 * EVENT_MATCH_FEATURES), (genres, GENRE_FEATURES), (content, CONTENT_FEATURES))
    return MATCH_FEATURES + sum(columns for is_read, columns in switched if is_read) + further
