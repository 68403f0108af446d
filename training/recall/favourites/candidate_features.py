"""Features of played tracks for the learned order: when, how often and in which company a user played each.

They follow memory research and studies of repeated listening (see `training.recall.repeat_consumption`): frequency,
recency and spacing of plays, hour of the day, artist, and co-occurrence with the newest plays. All are functions of the
user's own plays before the request.

Legend: N plays of one user, T distinct tracks of them, C candidates, A artists, S sessions, F features.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sequences.sequence_batch import FIRST_CODE
from training.engine.numba_compile import compiled
from training.recall.favourites.play_sums import (
    ACTIVATION_AT_HOUR,
    ACTIVATION_AT_START,
    CAME_BEFORE,
    COMES_NEXT,
    COUNT_DAYS,
    DAYS,
    DECAYS,
    FULL_PLAYS,
    GAPS,
    LISTENS,
    LISTENS_1D,
    LISTENS_AT_HOUR,
    LOG_GAP,
    MONTH,
    NEAR_BY_RECENCY,
    NEIGHBORS,
    PLAYS,
    PLAYS_28D,
    SESSIONS,
    SQUARED_LOG_GAP,
    SUMS,
    PlayColumns,
    PlaySums,
    SumOptions,
    sum_plays,
)
from training.recall.play_archive import FULL_PLAY, LISTENED, PastPlays
from training.recall.repeat_consumption import (
    COOCCURRENCE_KERNEL,
    DAY_S,
    HOUR_S,
    LOG_SMOOTHING,
    MIN_AGE_S,
    RECENT_LISTENS,
    SESSION_START_PLAYS,
    session_similarity,
)

Array = NDArray[Any]

SIMILAR_SESSIONS = (1, 4)
SHARE_PLAYS, REQUEST_PLAYS = (10, 50), (50, 500)
LOG_COUNT_AGES = np.log(np.array(COUNT_DAYS) * DAY_S)
WEEK = COUNT_DAYS.index(7)
NEVER_LOG_S = 25.0  # logarithm of an age that no play has
FLOOR = 1e-9

CANDIDATE_FEATURES = (
    "log_rank",
    "log_activation_below_best",
    *(f"activation_{decay}" for decay in DECAYS),
    "listens",
    "skips",
    "full_play_share",
    "skip_share",
    *(f"listens_{days}d" for days in COUNT_DAYS),
    "last_age",
    "second_last_age",
    "third_last_age",
    "first_age",
    "plays_since",
    "mean_log_gap",
    "deviation_log_gap",
    "last_age_over_gap",
    "days",
    "sessions",
    "sessions_ago",
    "activation_at_hour",
    "share_at_hour",
    "activation_at_start",
    "last_outcome",
    "comes_next",
    "came_before",
    "next_beyond_count",
    "near_by_recency",
    *(f"with_last_{count}_sessions" for count in SIMILAR_SESSIONS),
    "neighbor_activation",
    "artist_activation_0.5",
    "artist_activation_1.0",
    "artist_plays",
    "artist_last_age",
    "artist_plays_since",
    *(f"artist_share_of_{count}_plays" for count in SHARE_PLAYS),
    "artist_plays_28d",
    "artist_tracks",
    "artist_share_played_7d",
    "artist_comes_next",
)
REQUEST_FEATURES = (
    "since_last_play",
    "plays_1d",
    "plays_7d",
    "plays_28d",
    "history_length",
    "distinct_share",
    "distinct_share_50",
    "distinct_share_500",
    "discovery_share_50",
    "discovery_share_500",
    "skip_share_50",
    "plays_per_session",
    "hour_sine",
    "hour_cosine",
    "best_activation",
)
FEATURE_NAMES = (*CANDIDATE_FEATURES, *REQUEST_FEATURES)


class PlayTable(NamedTuple):
    """Plays of one user before a request, oldest first, by track."""

    item_T: Array  # the distinct tracks, ascending
    of_N: Array  # index of each play's track among them
    ended_at_N: Array  # µs UTC
    log_age_N: Array  # logarithm of the age in seconds
    outcome_N: Array
    session_N: Array
    request_at: int  # µs UTC

    @classmethod
    def of(cls, plays: PastPlays, request_at: int, vocabulary_size: int) -> PlayTable:
        """The plays of known tracks."""
        known = ((plays.track_N >= FIRST_CODE) & (plays.track_N < vocabulary_size)).nonzero()[0]
        track_N, ended_at_N = plays.track_N[known], plays.ended_at_N[known]
        of_V = np.zeros(vocabulary_size, dtype=np.int64)
        of_V[track_N] = 1
        (item_T,) = of_V.nonzero()
        of_V[item_T] = np.arange(len(item_T))
        log_age_N = np.log(np.maximum((request_at - ended_at_N) / 1e6, MIN_AGE_S))
        rest = plays.outcome_N[known], plays.session_N[known], request_at
        return cls(item_T, of_V[track_N], ended_at_N, log_age_N, *rest)

    def activation_T(self, decay: float, skip: float) -> Array:
        """Activation of each track if a skip counts `skip` of a listen."""
        strength_N = np.where(self.outcome_N >= LISTENED, 1.0, skip) * np.exp(-decay * self.log_age_N)
        return np.bincount(self.of_N, strength_N, len(self.item_T))


def candidate_features(
    table: PlayTable, candidate_C: Array, activation_T: Array, artist_of_track_V: Array, skip: float
) -> Array:
    """Features [C, F] of some tracks, float32, in the order of FEATURE_NAMES.

    Args:
        table: The plays of the request.
        candidate_C: Indices in `table.item_T` of at least one candidate, by activation.
        activation_T: Activation of each track.
        artist_of_track_V: Artist code of each track of the vocabulary.
        skip: Weight of a skip relative to a listen.
    """
    is_listened_N, is_full_play_N = table.outcome_N >= LISTENED, table.outcome_N == FULL_PLAY
    plays = PlayColumns(table.of_N, table.ended_at_N, table.log_age_N, is_listened_N, is_full_play_N, table.session_N)
    first_D, tracks = (-table.log_age_N).searchsorted(-LOG_COUNT_AGES), len(table.item_T)
    hour = table.request_at / 1e6 % DAY_S / HOUR_S
    options = SumOptions(hour, skip, RECENT_LISTENS, SESSION_START_PLAYS)
    sums = sum_plays(plays, tracks, first_D, COOCCURRENCE_KERNEL, options)
    similar_T1, similar_T4 = (
        session_similarity(plays.of_N, sums.session_N, sums.is_new_N, tracks, count) for count in SIMILAR_SESSIONS
    )
    feature_CF = np.empty((len(candidate_C), len(FEATURE_NAMES)), dtype=np.float32)
    of_candidates = candidate_C, np.log(activation_T[candidate_C] + FLOOR), artist_of_track_V[table.item_T]
    _fill_features(plays, sums, similar_T1, similar_T4, table.outcome_N, *of_candidates, first_D, hour, feature_CF)
    return feature_CF


@compiled
def _fill_features(
    plays: PlayColumns,
    sums: PlaySums,
    similar_T1: Array,
    similar_T4: Array,
    outcome_N: Array,
    candidate_C: Array,
    log_activation_C: Array,
    artist_T: Array,
    first_D: Array,
    hour: float,
    feature_CF: Array,
) -> None:
    """Write the features."""
    N, artist_A = len(plays.of_N), np.unique(artist_T)
    A, of_T, log_age_N = len(artist_A), np.searchsorted(artist_A, artist_T), plays.log_age_N
    sum_AS, last_A, tracks_A, lately_A = np.zeros((A, len(SUMS))), np.zeros(A, np.int64), np.zeros(A), np.zeros(A)
    for t, artist in enumerate(of_T):
        sum_AS[artist] += sums.sums_TS[t]
        last_A[artist], tracks_A[artist] = max(last_A[artist], sums.last_T3[t, 0]), tracks_A[artist] + 1
        lately_A[artist] += sums.last_T3[t, 0] >= first_D[WEEK]
    share_A2, distinct_2 = np.zeros((A, 2)), np.zeros(2)
    for place in range(2):
        for track in plays.of_N[-SHARE_PLAYS[place] :]:
            share_A2[of_T[track], place] += 1 / SHARE_PLAYS[place]
        distinct_2[place] = len(np.unique(plays.of_N[-REQUEST_PLAYS[place] :])) / REQUEST_PLAYS[place]
    request = (
        log_age_N[-1],
        np.log1p(N - first_D[0]),
        np.log1p(N - first_D[WEEK]),
        np.log1p(N - first_D[MONTH]),
        np.log1p(N),
        len(artist_T) / N,
        distinct_2[0],
        distinct_2[1],
        sums.is_first_N[-REQUEST_PLAYS[0] :].mean(),
        sums.is_first_N[-REQUEST_PLAYS[1] :].mean(),
        1 - plays.is_listened_N[-50:].mean(),
        np.log1p(N / (sums.session_N[-1] + 1)),
        np.sin(hour / 24 * 2 * np.pi),
        np.cos(hour / 24 * 2 * np.pi),
        log_activation_C[0],
    )
    age_3 = np.empty(3)
    for c, t in enumerate(candidate_C):
        sums_S, artist, last = sums.sums_TS[t], of_T[t], sums.last_T3[t, 0]
        artist_S, is_known = sum_AS[artist], 1.0 if artist_A[artist] >= FIRST_CODE else 0.0
        for place in range(3):
            age_3[place] = log_age_N[sums.last_T3[t, place]] if sums.last_T3[t, place] >= 0 else NEVER_LOG_S
        count, listens, gaps = sums_S[PLAYS], sums_S[LISTENS], max(sums_S[GAPS], 1.0)
        mean = sums_S[LOG_GAP] / gaps if sums_S[GAPS] > 0 else 20.0
        deviation = np.sqrt(max(sums_S[SQUARED_LOG_GAP] / gaps - mean**2, 0.0)) if sums_S[GAPS] > 1 else -1.0
        next_log = np.log(sums_S[COMES_NEXT] + LOG_SMOOTHING)
        own = (
            np.log1p(c),
            log_activation_C[c] - log_activation_C[0],
            np.log(sums_S[0] + FLOOR),
            np.log(sums_S[1] + FLOOR),
            np.log(sums_S[2] + FLOOR),
            np.log(sums_S[3] + FLOOR),
            np.log(sums_S[4] + FLOOR),
            np.log1p(listens),
            np.log1p(count - listens),
            sums_S[FULL_PLAYS] / count,
            (count - listens) / count,
            np.log1p(sums_S[LISTENS_1D]),
            np.log1p(sums_S[LISTENS_1D + 1]),
            np.log1p(sums_S[LISTENS_1D + 2]),
            np.log1p(sums_S[LISTENS_1D + 3]),
            np.log1p(sums_S[LISTENS_1D + 4]),
            age_3[0],
            age_3[1],
            age_3[2],
            log_age_N[sums.first_T[t]],
            np.log1p(N - last),
            mean,
            deviation,
            age_3[0] - mean,
            np.log1p(sums_S[DAYS]),
            np.log1p(sums_S[SESSIONS]),
            np.log1p(sums.session_N[-1] - sums.session_N[last]),
            np.log(sums_S[ACTIVATION_AT_HOUR] + FLOOR),
            sums_S[LISTENS_AT_HOUR] / max(listens, 1.0),
            np.log(sums_S[ACTIVATION_AT_START] + FLOOR),
        )
        company = (
            float(outcome_N[last]),
            next_log,
            np.log(sums_S[CAME_BEFORE] + LOG_SMOOTHING),
            next_log - np.log1p(listens),
            np.log(sums_S[NEAR_BY_RECENCY] + 1e-6),
            np.log(similar_T1[t] + LOG_SMOOTHING),
            np.log(similar_T4[t] + LOG_SMOOTHING),
            np.log(sums_S[NEIGHBORS] / count + FLOOR),
            is_known * np.log(artist_S[1] + FLOOR),
            is_known * np.log(artist_S[3] + FLOOR),
            is_known * np.log1p(artist_S[PLAYS]),
            is_known * log_age_N[last_A[artist]],
            is_known * np.log1p(N - last_A[artist]),
            is_known * share_A2[artist, 0],
            is_known * share_A2[artist, 1],
            is_known * np.log1p(artist_S[PLAYS_28D]),
            is_known * np.log1p(tracks_A[artist]),
            is_known * lately_A[artist] / tracks_A[artist],
            is_known * np.log(artist_S[COMES_NEXT] + 1e-2),
        )
        first, second = len(own), len(own) + len(company)
        feature_CF[c, :first], feature_CF[c, first:second] = np.array(own), np.array(company)
        feature_CF[c, second:] = np.array(request)
