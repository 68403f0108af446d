"""Context search: outcomes of the user's plays in the same context, for any track.

The context of a play: how often its track had been played and its last outcome (familiarity), whether its artist is
that of the play before, and the outcomes of the last two plays. Some users play new tracks to the end and skip known
ones, others the reverse; their own plays in the same context show which.

Shape letters: B requests, C candidates, L plays, H half-lives, X contexts, K familiarity codes. See `history_search.py`. Plays
beyond the history count as never played.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from training.engine.numba_compile import compiled
from training.ranking.features.history_match import (
    Array,
    History,
    Matches,
    Outcomes,
    encode_sums,
    smoothed_listen_rate,
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
        self.tally_BHXK2 = _tally_contexts(history, outcomes)

    def compute_user_features(self) -> Array:
        """Return the share of listens by familiarity."""
        sum_BK2 = self.tally_BHXK2[:, -1].sum(1)
        return np.asarray(smoothed_listen_rate(sum_BK2[..., 1], sum_BK2[..., 0]))

    def compute_candidate_features(self, matches: Matches) -> Array:
        """Return, by half-life, log2(1 + weight) and share of listens of plays with the candidate's familiarity, and of
        those in the same context.
        """
        sums = self.tally_BHXK2, self.tally_BHXK2.sum(2)
        sum_BCW2 = _sum_same_context(self.history, self.outcomes, matches, *sums)
        return encode_sums(sum_BCW2).reshape(*sum_BCW2.shape[:2], -1)


@compiled
def _familiarity_code(times: int, is_listened: bool) -> int:
    """0 for a track that was never played, else a code of its number of plays and its last outcome."""
    code = 1 if times else 0
    for bound in PLAY_COUNT_BOUNDS:
        code += times >= bound
    return code + (1 + len(PLAY_COUNT_BOUNDS)) * (times > 0 and is_listened)


@compiled
def _context_code(outcome_L: Array, position: int, is_same_artist: bool) -> int:
    """Code of the context of a play at a position: whether the play before has the same artist, and the two outcomes
    before it.
    """
    last = outcome_L[position - 1] if position > 0 else 0
    second_last = outcome_L[position - 2] if position > 1 else 0
    return 9 * is_same_artist + 3 * int(last + 1) + int(second_last + 1)


@compiled
def _tally_contexts(history: History, outcomes: Outcomes) -> Array:
    """Weights of plays and listens by half-life, context and familiarity [B, H, CONTEXT_CODES, FAMILIARITY_CODES, 2]."""
    B = len(outcomes.outcome_BL)
    tally_BHXK2 = np.zeros((B, len(HALF_LIVES), CONTEXT_CODES, FAMILIARITY_CODES, 2))
    most = 0
    for code in history.code_BSL.flat:
        most = max(most, code)
    times_V, was_listened_V = np.zeros(most + 1, dtype=np.int64), np.zeros(most + 1, dtype=np.bool_)
    for b in range(B):
        outcome_L, (track_L, artist_L) = outcomes.outcome_BL[b], history.code_BSL[b]
        begin = max(history.length_B[b] - MAX_HISTORY, 0)
        for position in range(begin, history.length_B[b]):
            track, outcome = track_L[position], outcome_L[position]
            is_same = position > 0 and artist_L[position] > 0 and artist_L[position] == artist_L[position - 1]
            familiarity = 0
            if track > 0:
                familiarity = _familiarity_code(times_V[track], was_listened_V[track])
                times_V[track], was_listened_V[track] = times_V[track] + 1, outcome > 0
            tally_HK2 = tally_BHXK2[b, :, _context_code(outcome_L, position, is_same)]
            for h, half_life in enumerate(HALF_LIVES):
                if outcome != 0:
                    weight = 0.5 ** ((history.length_B[b] - 1 - position) / half_life)
                    tally_HK2[h, familiarity, 0] += weight
                    tally_HK2[h, familiarity, 1] += weight * (outcome > 0)
        for position in range(begin, history.length_B[b]):
            times_V[max(track_L[position], 0)] = 0
    return tally_BHXK2


@compiled
def _sum_same_context(
    history: History, outcomes: Outcomes, matches: Matches, tally_BHXK2: Array, sum_BHK2: Array
) -> Array:
    """By half-life, the weights of plays with the candidate's familiarity, and of those in the same context [B, C, W, 2]."""
    B, _, C = matches.row_BSC.shape
    sum_BCW2 = np.empty((B, C, 2 * len(HALF_LIVES), 2))
    for b in range(B):
        for c in range(C):
            begin, end = matches.begin_R1[matches.row_BSC[b, 0, c]], matches.begin_R1[matches.row_BSC[b, 0, c] + 1]
            artist_end = matches.begin_R1[matches.row_BSC[b, 1, c] + 1]
            is_played = artist_end > matches.begin_R1[matches.row_BSC[b, 1, c]]
            is_same = is_played and matches.position_P[artist_end - 1] == history.length_B[b] - 1
            is_listened = end > begin and outcomes.outcome_BL[b, matches.position_P[end - 1]] > 0
            familiarity = _familiarity_code(end - begin, is_listened)
            context = _context_code(outcomes.outcome_BL[b], history.length_B[b], is_same)
            for h in range(len(HALF_LIVES)):
                sum_BCW2[b, c, 2 * h] = sum_BHK2[b, h, familiarity]
                sum_BCW2[b, c, 2 * h + 1] = tally_BHXK2[b, h, context, familiarity]
    return sum_BCW2
