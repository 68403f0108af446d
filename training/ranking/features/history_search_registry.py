"""Further searches by name, in the order of their columns; to add one, write a file here and a line below.

Time-decayed search: plays and listens of the candidate, weighted by their age.

Shape letters: B requests, C candidates, R rows of matches, N newest plays, W half-lives. See `history_search.py`.

Recency search: outcomes of the last plays of the candidate's track and artist, and their share of the newest plays.

Shape letters: B requests, C candidates, S track and artist, R rows of matches, W windows. See `history_search.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from training.engine.numba_compile import compiled
from training.ranking.features.content_similarity import CONTENT_FEATURES
from training.ranking.features.context_search import ContextFeatures
from training.ranking.features.genre_search import GENRE_FEATURES
from training.ranking.features.history_match import (
    EVENT_MATCH_FEATURES,
    MATCH_FEATURES,
    Array,
    History,
    Matches,
    Outcomes,
    encode_sums,
    smoothed_listen_rate,
)
from training.ranking.features.history_search import MISSING_DISTANCE, HistorySearch
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

    def compute_user_features(self) -> Array:
        """Return log2(1 + current streak of equal outcomes), at most MAX_STREAK plays, negative for skips."""
        outcome_BN = self.newest_values(self.outcomes.outcome_BL, MAX_STREAK + 1)
        streak_B = (outcome_BN != outcome_BN[:, :1]).argmax(axis=1)
        streak_B = np.where(outcome_BN[:, -1] == outcome_BN[:, 0], MAX_STREAK, streak_B)
        return np.asarray(outcome_BN[:, 0] * np.log2(1 + streak_B))[:, None]

    def compute_candidate_features(self, matches: Matches) -> Array:
        """Return, for track and artist, these columns.

        Share of listens among its last 3 and 10 plays; mean played ratio of its last 5 (-1: never played); number among
        the newest 10, 200 and 500 plays, with the share of listens; how many plays ago it was played, listened to and
        skipped (log2; MISSING_DISTANCE: never); number of plays in a row with the outcome of its last play.
        """
        sum_RW2, other_RK = _sum_newest(self.outcomes, self.history.length_B, matches)
        both_RW2 = encode_sums(sum_RW2)
        feature_RK = np.empty((len(sum_RW2), self.candidate_feature_count // 2))
        feature_RK[:, :2], feature_RK[:, 2] = both_RW2[:, :2, 1], other_RK[:, 0]
        feature_RK[:, 3:9], feature_RK[:, 9:] = both_RW2[:, 2:].reshape(-1, 6), other_RK[:, 1:]
        return matches.to_columns(feature_RK)


@compiled
def _sum_newest(outcomes: Outcomes, length_B: Array, matches: Matches) -> tuple[Array, Array]:
    """Plays and listens in OWN_WINDOWS and RECENT_WINDOWS, and the other columns of each row."""
    B, S, C = matches.row_BSC.shape
    own = len(OWN_WINDOWS)
    sum_RW2, other_RK = np.zeros((B * S * C, own + len(RECENT_WINDOWS), 2)), np.zeros((B * S * C, 5))
    for row in range(B * S * C):
        b, end = row // (S * C), matches.begin_R1[row + 1]
        count, played = end - matches.begin_R1[row], 0.0
        # Of the newest play, the newest listen and the newest skip: how many plays and how many own plays ago.
        ago_3, rank_3 = np.full(3, NEVER_AGO), np.full(3, count)
        for rank in range(count):
            position = matches.position_P[end - 1 - rank]
            ago, is_listened = length_B[b] - 1 - position, outcomes.outcome_BL[b, position] > 0
            for kind in (0, 1 if is_listened else 2):
                if rank < rank_3[kind]:
                    ago_3[kind], rank_3[kind] = ago, rank
            played += outcomes.ratio_BL[b, position] if rank < RATIO_WINDOW else 0.0
            for w, window in enumerate(OWN_WINDOWS + RECENT_WINDOWS):
                if (rank if w < own else ago) < window:
                    sum_RW2[row, w, 0] += 1
                    sum_RW2[row, w, 1] += is_listened
        other_RK[row, 0] = played / min(count, RATIO_WINDOW) if count else -1.0
        other_RK[row, 1:4] = np.log2(1 + ago_3)
        # Without a play of the other outcome, the streak is all plays.
        other_RK[row, 4] = np.log2(1 + rank_3[2]) - np.log2(1 + rank_3[1])
    return sum_RW2, other_RK


PLAY_HALF_LIVES, DAY_HALF_LIVES = (20, 100, 500), (1, 7, 30)
"""Half-lives of a play's weight, in plays and in days."""
USER_HALF_LIVES = (1, 2, 4, 8, 16, 32, 64, 128)
MAX_HISTORY = 600
HOUR_WINDOW = 2


class TimeDecaySearch(HistorySearch):
    """Counts with several half-lives, in plays and in days, and counts of plays at this time of day."""

    user_feature_count: ClassVar[int] = len(USER_HALF_LIVES)
    candidate_feature_count: ClassVar[int] = 2 * 2 * (len(PLAY_HALF_LIVES) + len(DAY_HALF_LIVES) + 1)

    def compute_user_features(self) -> Array:
        """Return the share of listens among all plays, by half-life."""
        outcome_BN = self.newest_values(self.outcomes.outcome_BL, MAX_HISTORY)
        weight_NW = (0.5 ** (np.arange(MAX_HISTORY)[:, None] / np.array(USER_HALF_LIVES))).astype(np.float32)
        listens_BW, plays_BW = ((is_BN * np.float32(1)) @ weight_NW for is_BN in (outcome_BN > 0, outcome_BN != 0))
        return np.asarray(smoothed_listen_rate(listens_BW, plays_BW))

    def compute_candidate_features(self, matches: Matches) -> Array:
        """Return, for track and artist, log2(1 + count) and share of listens: by half-life, and within HOUR_WINDOW
        hours of this time of day.
        """
        sum_RW2 = _sum_decayed(self.history, self.outcomes, matches, self.request_at_B)
        return matches.to_columns(encode_sums(sum_RW2).reshape(len(sum_RW2), -1))


@compiled
def _sum_decayed(history: History, outcomes: Outcomes, matches: Matches, request_at_B: Array) -> Array:
    """Weights of the plays and listens of each row [R, W, 2]."""
    B, S, C = matches.row_BSC.shape
    log_half, last = np.log(0.5), len(PLAY_HALF_LIVES) + len(DAY_HALF_LIVES)
    sum_RW2 = np.zeros((B * S * C, last + 1, 2))
    for row in range(B * S * C):
        b = row // (S * C)
        for position in matches.position_P[matches.begin_R1[row] : matches.begin_R1[row + 1]]:
            age, is_listened = request_at_B[b] - history.ended_at_BL[b, position], outcomes.outcome_BL[b, position] > 0
            for w in range(last + 1):
                if w < len(PLAY_HALF_LIVES):
                    weight = np.exp(log_half * (history.length_B[b] - 1 - position) / PLAY_HALF_LIVES[w])
                elif w < last:
                    weight = np.exp(log_half * (age / DAY_US) / DAY_HALF_LIVES[w - len(PLAY_HALF_LIVES)])
                else:
                    is_near = min(age % DAY_US, DAY_US - age % DAY_US) <= HOUR_WINDOW * HOUR_US
                    weight = 1.0 if is_near else 0.0
                sum_RW2[row, w, 0] += weight
                sum_RW2[row, w, 1] += weight * is_listened
    return sum_RW2


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
