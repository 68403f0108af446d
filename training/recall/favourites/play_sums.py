"""Sums over the plays of each track of one user, in one pass over the plays.

Compiled, because two dozen sums over 20,000 plays take most of a request's time in NumPy.

Legend: N plays of one user, oldest first, T distinct tracks of them, S sums, D lengths of time, L distances.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.engine.numba_compile import compiled
from training.recall.repeat_consumption import DAY_S, DAY_US, HOUR_S, MIN_AGE_S, cooccurrence_weights

Array = NDArray[Any]

DECAYS = (0.3, 0.5, 0.8, 1.0, 1.3)
COUNT_DAYS = (1, 7, 28, 90, 365)
SUMS = (
    *(f"activation_{decay}" for decay in DECAYS),
    *(f"listens_{days}d" for days in COUNT_DAYS),
    "plays",
    "plays_28d",
    "listens",
    "full_plays",
    "activation_at_hour",
    "listens_at_hour",
    "activation_at_start",
    "gaps",
    "log_gap",
    "squared_log_gap",
    "days",
    "sessions",
    "comes_next",
    "came_before",
    "near_by_recency",
    "neighbors",
)
"""Names of the sums of each track, in the order of `PlaySums.sums_TS`."""
LISTENS_1D = len(DECAYS)
(
    PLAYS,
    PLAYS_28D,
    LISTENS,
    FULL_PLAYS,
    ACTIVATION_AT_HOUR,
    LISTENS_AT_HOUR,
    ACTIVATION_AT_START,
    GAPS,
    LOG_GAP,
    SQUARED_LOG_GAP,
    DAYS,
    SESSIONS,
    COMES_NEXT,
    CAME_BEFORE,
    NEAR_BY_RECENCY,
    NEIGHBORS,
) = range(LISTENS_1D + len(COUNT_DAYS), len(SUMS))
ACTIVATION_1, MONTH = DECAYS.index(1.0), COUNT_DAYS.index(28)


class PlaySums(NamedTuple):
    """Sums and positions of the plays of each track."""

    sums_TS: Array  # float64, see SUMS
    last_T3: Array  # number of the newest, second and third newest play; -1 if there is none
    first_T: Array  # number of the oldest play
    session_N: Array  # number of each play's session, from 0
    is_new_N: Array  # whether each play is the first one of its track in its session
    is_first_N: Array  # whether each play is the first one of its track


class PlayColumns(NamedTuple):
    """Plays of one user, oldest first."""

    of_N: Array  # index of each play's track, below T
    ended_at_N: Array  # µs UTC
    log_age_N: Array  # logarithm of the age in seconds at the request
    is_listened_N: Array
    is_full_play_N: Array
    session_N: Array  # number of each play's session, ascending


class SumOptions(NamedTuple):
    """The request, and what the sums depend on besides the plays."""

    hour: float  # of the request, UTC
    skip: float  # weight of a skip in activations, relative to a listen
    recent_plays: int  # number of the newest plays whose usual successors and predecessors are looked up
    session_start_plays: int  # number of plays at the start of a session that count for `activation_at_start`


def sum_plays(plays: PlayColumns, tracks: int, first_D: Array, kernel_L: Array, options: SumOptions) -> PlaySums:
    """See PlaySums.

    Args:
        plays: The plays of the user.
        tracks: T.
        first_D: Number of the first play within each of COUNT_DAYS.
        kernel_L: Weight of a play 1, 2, … L positions after (or before) an earlier play of one of the newest tracks.
        options: See SumOptions.
    """
    next_N, before_N = cooccurrence_weights(plays.of_N, tracks, options.recent_plays, kernel_L)
    return PlaySums(*_sum_plays(plays, tracks, first_D, next_N, before_N, options))


@compiled
def _sum_plays(
    plays: PlayColumns, tracks: int, first_D: Array, next_N: Array, before_N: Array, options: SumOptions
) -> tuple[Array, Array, Array, Array, Array, Array]:
    of_N, ended_at_N, log_age_N, is_listened_N, is_full_play_N, number_N = plays
    hour, skip, _, session_start_plays = options
    N, D = len(of_N), len(first_D)
    sums_TS = np.zeros((tracks, len(SUMS)))
    last_T3, first_T = np.full((tracks, 3), -1), np.full(tracks, -1)
    session_N, is_new_N, is_first_N = np.zeros(N, np.int64), np.zeros(N, np.bool_), np.zeros(N, np.bool_)
    session_start = 0
    for play in range(N):
        begins_session = play == 0 or number_N[play] != number_N[play - 1]
        session_start = play if begins_session else session_start
        session_N[play] = 0 if play == 0 else session_N[play - 1] + begins_session
        track = of_N[play]
        previous = last_T3[track, 0]
        is_first_N[play] = previous < 0
        is_new_N[play] = previous < 0 or session_N[play] != session_N[previous]
        first_T[track] = play if previous < 0 else first_T[track]
        last_T3[track, 2], last_T3[track, 1], last_T3[track, 0] = last_T3[track, 1], previous, play

        is_listened = 1.0 if is_listened_N[play] else 0.0
        weight = 1.0 if is_listened_N[play] else skip
        # The activations of all DECAYS, in their order, from two exponentials.
        to_3, to_5 = np.exp(-0.3 * log_age_N[play]), np.exp(-0.5 * log_age_N[play])
        hours_apart = abs(ended_at_N[play] / 1e6 % DAY_S / HOUR_S - hour)
        at_hour = np.exp(-(min(hours_apart, 24 - hours_apart) ** 2) / 8)
        sums_S = sums_TS[track]
        sums_S[0] += weight * to_3
        sums_S[1] += weight * to_5
        sums_S[2] += weight * to_3 * to_5
        sums_S[3] += weight * to_5 * to_5
        sums_S[4] += weight * to_3 * to_5 * to_5
        for number in range(D):
            sums_S[LISTENS_1D + number] += is_listened * (play >= first_D[number])
        sums_S[PLAYS] += 1
        sums_S[PLAYS_28D] += play >= first_D[MONTH]
        sums_S[LISTENS] += is_listened
        sums_S[FULL_PLAYS] += is_full_play_N[play]
        sums_S[ACTIVATION_AT_HOUR] += at_hour * weight * to_5
        sums_S[LISTENS_AT_HOUR] += at_hour * is_listened
        if play - session_start < session_start_plays:
            sums_S[ACTIVATION_AT_START] += weight * to_3 * to_5
        if previous >= 0:
            log_gap = np.log(max((ended_at_N[play] - ended_at_N[previous]) / 1e6, MIN_AGE_S))
            sums_S[GAPS] += 1
            sums_S[LOG_GAP] += log_gap
            sums_S[SQUARED_LOG_GAP] += log_gap * log_gap
        sums_S[DAYS] += previous < 0 or ended_at_N[play] // DAY_US != ended_at_N[previous] // DAY_US
        sums_S[SESSIONS] += is_new_N[play]
        sums_S[COMES_NEXT] += next_N[play] * is_listened
        sums_S[CAME_BEFORE] += before_N[play] * is_listened
        sums_S[NEAR_BY_RECENCY] += (next_N[play] + before_N[play]) * is_listened * to_5
    for play in range(1, N):
        if session_N[play] == session_N[play - 1]:
            track, before = of_N[play], of_N[play - 1]
            sums_TS[track, NEIGHBORS] += sums_TS[before, ACTIVATION_1]
            sums_TS[before, NEIGHBORS] += sums_TS[track, ACTIVATION_1]
    return sums_TS, last_T3, first_T, session_N, is_new_N, is_first_N
