"""Further searches in a history of plays, which only boosted trees read: what happened lately, fading, and in the same situation.

Each join reuses the occurrences that `history_match.find_occurrences` found. The same code offline and online. Each row is computed
from its own candidate alone, and from plays that ended before the request. Shape letters: B requests, C candidates, S = 2 (track,
artist), R = B·S·C rows, L events, K columns, N newest plays, W windows or half-lives, H half-lives, X contexts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recommender.array_types import Array
from recommender.compiled import compiled
from recommender.ranking.features.history_match import (
    MISSING_DISTANCE,
    History,
    Matches,
    Outcomes,
    smoothed_listen_rate,
)
from recommender.ranking.features.user_features import DAY_US, HOUR_US

OWN_WINDOWS = (3, 10)
RECENT_WINDOWS = (10, 200, 500)
RATIO_WINDOW = 5
MAX_STREAK = 100
NEVER_AGO = 2**MISSING_DISTANCE - 1

PLAY_HALF_LIVES, DAY_HALF_LIVES = (20, 100, 500), (1, 7, 30)
"""Half-lives of a play's weight, in plays and in days."""
USER_HALF_LIVES = (1, 2, 4, 8, 16, 32, 64, 128)
MAX_DECAYED_PLAYS = 600
HOUR_WINDOW = 2

PLAY_COUNT_BOUNDS = (2, 4, 10)
"""Bounds of the number of earlier plays: 1, 2 to 3, 4 to 9, 10 and more."""
FAMILIARITY_CODES = 1 + 2 * (1 + len(PLAY_COUNT_BOUNDS))
CONTEXT_CODES = 2 * 9
CONTEXT_HALF_LIVES = (50, 400)
MAX_CONTEXT_PLAYS = 1200


def encode_sums(sum_X2: Array) -> Array:
    """Replace weights of plays and of listens by log2(1 + weight) and the share of listens [..., 2]."""
    sum_X2[..., 1] = smoothed_listen_rate(sum_X2[..., 1], sum_X2[..., 0])
    sum_X2[..., 0] = np.log2(1 + sum_X2[..., 0])
    return sum_X2


@dataclass(frozen=True)
class PlayHistory:
    """Plays of B requests with their outcomes, in which the further joins look candidates up."""

    plays: History
    outcomes: Outcomes
    request_at_B: Array

    def newest_outcomes(self, count: int) -> Array:
        """Return the outcomes of the newest `count` plays, newest first [B, count]; 0 beyond the oldest."""
        position_BN = self.plays.length_B[:, None] - 1 - np.arange(count)
        outcome_BL = self.outcomes.outcome_BL
        outcome_BN: Array = outcome_BL[np.arange(len(position_BN))[:, None], np.maximum(position_BN, 0)]
        outcome_BN[position_BN < 0] = 0
        return outcome_BN

    @cached_property
    def context_tally_BHXK2(self) -> Array:
        """See `_tally_contexts`."""
        return _tally_contexts(self.plays, self.outcomes)


def streak_of_outcomes(history: PlayHistory) -> Array:
    """Return log2(1 + current streak of equal outcomes), at most MAX_STREAK plays, negative for skips [B, 1]."""
    outcome_BN = history.newest_outcomes(MAX_STREAK + 1)
    streak_B = (outcome_BN != outcome_BN[:, :1]).argmax(axis=1)
    streak_B = np.where(outcome_BN[:, -1] == outcome_BN[:, 0], MAX_STREAK, streak_B)
    return np.asarray(outcome_BN[:, 0] * np.log2(1 + streak_B))[:, None]


def match_lately(history: PlayHistory, matches: Matches) -> Array:
    """Return, for track and artist, these columns.

    Share of listens among its last 3 and 10 plays; mean played ratio of its last 5 (-1: never played); number among
    the newest 10, 200 and 500 plays, with the share of listens; how many plays ago it was played, listened to and
    skipped (log2; MISSING_DISTANCE: never); number of plays in a row with the outcome of its last play.
    """
    sum_RW2, other_RK = _sum_newest(history.outcomes, history.plays.length_B, matches)
    both_RW2 = encode_sums(sum_RW2)
    own, recent = both_RW2[:, : len(OWN_WINDOWS), 1], both_RW2[:, len(OWN_WINDOWS) :].reshape(len(sum_RW2), -1)
    return matches.to_columns(np.concatenate([own, other_RK[:, :1], recent, other_RK[:, 1:]], axis=1))


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


def fading_listen_rates(history: PlayHistory) -> Array:
    """Return the share of listens among all plays, by half-life [B, W]."""
    outcome_BN = history.newest_outcomes(MAX_DECAYED_PLAYS)
    weight_NW = (0.5 ** (np.arange(MAX_DECAYED_PLAYS)[:, None] / np.array(USER_HALF_LIVES))).astype(np.float32)
    listens_BW, plays_BW = ((is_BN * np.float32(1)) @ weight_NW for is_BN in (outcome_BN > 0, outcome_BN != 0))
    return np.asarray(smoothed_listen_rate(listens_BW, plays_BW))


def match_fading(history: PlayHistory, matches: Matches) -> Array:
    """Return, for track and artist, log2(1 + count) and share of listens: by half-life, in plays and in days, and within
    HOUR_WINDOW hours of this time of day.
    """
    sum_RW2 = _sum_decayed(history.plays, history.outcomes, matches, history.request_at_B)
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


def familiarity_listen_rates(history: PlayHistory) -> Array:
    """Return the share of listens by familiarity [B, K]."""
    sum_BK2 = history.context_tally_BHXK2[:, -1].sum(1)
    return np.asarray(smoothed_listen_rate(sum_BK2[..., 1], sum_BK2[..., 0]))


def match_situations(history: PlayHistory, matches: Matches) -> Array:
    """Return, by half-life, log2(1 + weight) and share of listens of plays with the candidate's familiarity, and of those in
    the same context.

    The context of a play: how often its track had been played and its last outcome (familiarity), whether its artist is
    the same of the play before, and the outcomes of the last two plays. Some users play new tracks to the end and skip known
    ones, others the reverse; their own plays in the same context show which. Plays beyond the history count as never played.
    """
    sums = history.context_tally_BHXK2, history.context_tally_BHXK2.sum(2)
    sum_BCW2 = _sum_same_context(history.plays, history.outcomes, matches, *sums)
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
    tally_BHXK2 = np.zeros((B, len(CONTEXT_HALF_LIVES), CONTEXT_CODES, FAMILIARITY_CODES, 2))
    most = 0
    for code in history.code_BSL.flat:
        most = max(most, code)
    times_V, was_listened_V = np.zeros(most + 1, dtype=np.int64), np.zeros(most + 1, dtype=np.bool_)
    for b in range(B):
        outcome_L, (track_L, artist_L) = outcomes.outcome_BL[b], history.code_BSL[b]
        begin = max(history.length_B[b] - MAX_CONTEXT_PLAYS, 0)
        for position in range(begin, history.length_B[b]):
            track, outcome = track_L[position], outcome_L[position]
            is_same = position > 0 and artist_L[position] > 0 and artist_L[position] == artist_L[position - 1]
            familiarity = 0
            if track > 0:
                familiarity = _familiarity_code(times_V[track], was_listened_V[track])
                times_V[track], was_listened_V[track] = times_V[track] + 1, outcome > 0
            tally_HK2 = tally_BHXK2[b, :, _context_code(outcome_L, position, is_same)]
            for h, half_life in enumerate(CONTEXT_HALF_LIVES):
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
    sum_BCW2 = np.empty((B, C, 2 * len(CONTEXT_HALF_LIVES), 2))
    for b in range(B):
        for c in range(C):
            begin, end = matches.begin_R1[matches.row_BSC[b, 0, c]], matches.begin_R1[matches.row_BSC[b, 0, c] + 1]
            artist_end = matches.begin_R1[matches.row_BSC[b, 1, c] + 1]
            is_played = artist_end > matches.begin_R1[matches.row_BSC[b, 1, c]]
            is_same = is_played and matches.position_P[artist_end - 1] == history.length_B[b] - 1
            is_listened = end > begin and outcomes.outcome_BL[b, matches.position_P[end - 1]] > 0
            familiarity = _familiarity_code(end - begin, is_listened)
            context = _context_code(outcomes.outcome_BL[b], history.length_B[b], is_same)
            for h in range(len(CONTEXT_HALF_LIVES)):
                sum_BCW2[b, c, 2 * h] = sum_BHK2[b, h, familiarity]
                sum_BCW2[b, c, 2 * h + 1] = tally_BHXK2[b, h, context, familiarity]
    return sum_BCW2
