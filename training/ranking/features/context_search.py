"""Context search: outcomes of the user's plays in the same context, for any track.

The context of a play: how often its track had been played and its last outcome (familiarity), whether its artist is
that of the play before, and the outcomes of the last two plays. Some users play new tracks to the end and skip known
ones, others the reverse; their own plays in the same context show which.

Shape letters: B requests, C candidates, L plays, N newest plays, K familiarity codes. See `history_search.py`. Plays
beyond the history count as never played.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from training.ranking.features.history_match import (
    Array,
    History,
    Outcomes,
    PlayMatches,
    smoothed_listen_rate,
    values_at,
)
from training.ranking.features.history_search import HistorySearch

PLAY_COUNT_BOUNDS = (2, 4, 10)
"""Bounds of the number of earlier plays: 1, 2 to 3, 4 to 9, 10 and more."""
FAMILIARITY_CODES = 1 + 2 * (1 + len(PLAY_COUNT_BOUNDS))
CONTEXT_CODES = 2 * 9
HALF_LIVES = (50, 400)
MAX_HISTORY = 1200


class ContextFeatures(HistorySearch):
    """Shares of listens among the user's plays in the same context, with two half-lives."""

    user_feature_count: ClassVar[int] = FAMILIARITY_CODES
    candidate_feature_count: ClassVar[int] = 4 * len(HALF_LIVES)

    def __init__(self, history: History, outcomes: Outcomes, request_at_B: Array) -> None:
        super().__init__(history, outcomes, request_at_B)
        track_BN, artist_BN = (
            self.newest_values(values_BL, MAX_HISTORY) for values_BL in (history.track_BL, history.artist_BL)
        )
        outcome_BN = self.newest_values(outcomes.outcome_BL, MAX_HISTORY).astype(np.int64)
        familiarity_BN = familiarity_before_plays(track_BN[:, ::-1], outcome_BN[:, ::-1])[:, ::-1]
        context_BN = np.zeros_like(familiarity_BN)
        same_BN = (artist_BN[:, :-1] == artist_BN[:, 1:]) & (artist_BN[:, :-1] > 0)
        context_BN[:, :-1] = 9 * same_BN + 3 * (outcome_BN[:, 1:] + 1)
        context_BN[:, :-2] += outcome_BN[:, 2:] + 1
        code_BN = familiarity_BN + FAMILIARITY_CODES * context_BN
        self.tallies = [weighted_tally(code_BN, outcome_BN, half_life) for half_life in HALF_LIVES]

    def compute_user_features(self) -> list[Array]:
        """Return the share of listens by familiarity."""
        skips_BK, listens_BK = self.tallies[-1].sum(2).swapaxes(0, 1)
        return list(smoothed_listen_rate(listens_BK, skips_BK).T)

    def compute_candidate_features(self, matches: PlayMatches) -> Array:
        """Return, by half-life, log2(1 + weight) and share of listens of plays with the candidate's familiarity, and of
        those in the same context.
        """
        L, newest_BSC = self.history.code_BSL.shape[2], matches.newest_events(1)[..., 0]
        last_outcome_BC = values_at(self.outcomes.outcome_BL, newest_BSC[:, 0], 0)
        familiarity_BC = familiarity_code(matches.count_BSC[:, 0], last_outcome_BC)
        is_played_BC = newest_BSC[:, 1] >= 0
        same_BC = is_played_BC & (newest_BSC[:, 1] % L == self.history.length_B[:, None] - 1)
        last_B1, second_last_B1 = (self.newest_values(self.outcomes.outcome_BL, 2).astype(np.int64) + 1).T[:, :, None]
        context_BC = 9 * same_BC + 3 * last_B1 + second_last_B1
        row_B1 = np.arange(len(familiarity_BC))[:, None]
        weights = []
        for tally_B2CK in self.tallies:
            weights.append(tally_B2CK.sum(2)[row_B1, :, familiarity_BC])
            weights.append(tally_B2CK[row_B1, :, context_BC, familiarity_BC])
        skips_BCK, listens_BCK = np.moveaxis(np.stack(weights, axis=2), -1, 0)
        rates = np.log2(1 + skips_BCK + listens_BCK), smoothed_listen_rate(listens_BCK, skips_BCK)
        return np.stack(rates, axis=3).reshape(*familiarity_BC.shape, -1)


def weighted_tally(context_BN: Array, outcome_BN: Array, half_life: float) -> Array:
    """Return the weights of skipped and listened plays, given newest first [B, 2, CONTEXT_CODES, FAMILIARITY_CODES]."""
    B, N = context_BN.shape
    code_BN = (2 * np.arange(B)[:, None] + (outcome_BN > 0)) * (CONTEXT_CODES * FAMILIARITY_CODES) + context_BN
    weight_BN = (outcome_BN != 0) * 0.5 ** (np.arange(N) / half_life)
    sums = np.bincount(code_BN.ravel(), weight_BN.ravel(), minlength=B * 2 * CONTEXT_CODES * FAMILIARITY_CODES)
    return sums.reshape(B, 2, CONTEXT_CODES, FAMILIARITY_CODES)


def familiarity_code(times: Array, last: Array) -> Array:
    """Return 0 for a track that was never played, else a code of its number of plays and its last outcome."""
    count_code = sum((times >= bound).astype(np.int64) for bound in PLAY_COUNT_BOUNDS)
    return np.where(times > 0, 1 + count_code + (1 + len(PLAY_COUNT_BOUNDS)) * (last > 0), 0)


def familiarity_before_plays(track_BL: Array, outcome_BL: Array) -> Array:
    """Return the familiarity code of each play's track before the play [B, L]; plays oldest first."""
    B, L = track_BL.shape
    bits = L.bit_length()
    # Sorted by track, then position; each unknown track counts as a distinct one.
    track_BL = np.where(track_BL > 0, track_BL.astype(np.int64), -1 - np.arange(L))
    sorted_BL = np.sort((track_BL << bits) | np.arange(L), axis=1)
    position_BL, is_repeat_BL = sorted_BL & ((1 << bits) - 1), np.zeros((B, L), dtype=bool)
    is_repeat_BL[:, 1:] = (sorted_BL[:, 1:] >> bits) == (sorted_BL[:, :-1] >> bits)
    first_BL = np.maximum.accumulate(np.where(is_repeat_BL, 0, np.arange(L)), axis=1)
    position_BL += L * np.arange(B)[:, None]
    last_BL = np.roll(outcome_BL.ravel()[position_BL], 1, axis=1)
    familiarity_BL = np.zeros((B, L), dtype=np.int64)
    familiarity_BL.ravel()[position_BL] = familiarity_code(np.arange(L) - first_BL, last_BL)
    return familiarity_BL
