"""Features of played tracks: for each track of a user's history, when, how often and in which company it was played.

They follow memory research and studies of repeated listening: frequency, recency and spacing of plays, hour of the day,
artist, co-occurrence with the newest plays, and skips. All are functions of the user's own plays before the request. Base-level
activation: Anderson et al., "An Integrated Theory of the Mind" (2004); repeat consumption: Anderson, Kumar, Tomkins,
Vassilvitskii, "The Dynamics of Repeat Consumption" (WWW 2014); music sessions: Tran, Tricard, Hennequin, "Transformers Meet
ACT-R" (2024), arXiv 2408.16578.

Compiled, because two dozen sums over 20,000 plays take most of a request's time in NumPy.

Legend: N plays of one user, oldest first, T distinct tracks of them, S sums, D lengths of time, L distances (or listens), C
candidates, A artists, F features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recommender.array_types import Array
from recommender.compiled import compiled
from recommender.recall.play_archive import FULL_PLAY, LISTENED, PastPlays
from sequences.sequence_batch import FIRST_CODE
from sequences.sequence_views import DAY_US

MIN_AGE_S = 60.0
DAY_S, HOUR_S = 86_400.0, 3_600.0
RECENT_LISTENS = 10
"""Number of newest listens whose usual successors and predecessors are looked up."""
COOCCURRENCE_KERNEL = 1.0 / (4 + np.arange(1, 21))
"""Weight of a listen 1, 2, … 20 positions after (or before) an earlier play of one of the newest tracks."""
SESSION_START_PLAYS = 8
LOG_SMOOTHING = 1e-3

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
ACTIVATIONS = slice(2, 2 + len(DECAYS))
"""Columns of the logarithms of the activations by DECAYS."""


class PlaySums(NamedTuple):
    """Sums and positions of the plays of each track."""

    sums_TS: Array  # float64, see SUMS
    last_T3: Array  # number of the newest, second and third newest play; -1 if there is none
    first_T: Array  # number of the oldest play
    session_N: Array  # number of each play's session, from 0
    is_new_N: Array  # whether each play is the first one of its track in its session
    is_first_N: Array  # whether each play is the first one of its track


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
        item_T, of_N = np.unique(track_N, return_inverse=True)  # of 20,000 plays faster than an array of the vocabulary
        log_age_N = np.log(np.maximum((request_at - ended_at_N) / 1e6, MIN_AGE_S))
        rest = plays.outcome_N[known], plays.session_N[known], request_at
        return cls(item_T, of_N, ended_at_N, log_age_N, *rest)

    def activation_T(self, decay: float, skip: float) -> Array:
        """Activation of each track if a skip counts `skip` of a listen."""
        strength_N = np.where(self.outcome_N >= LISTENED, 1.0, skip) * np.exp(-decay * self.log_age_N)
        return np.bincount(self.of_N, strength_N, len(self.item_T))

    def most_active(self, decay: float, skip: float, k: int) -> tuple[Array, Array]:
        """The `k` most active tracks as indices of `item_T`, ties by smaller code, and the activation of all tracks [T]."""
        activation_T = self.activation_T(decay, skip)
        (found,) = activation_T.nonzero()
        return found[(-activation_T[found]).argsort(kind="stable")[:k]], activation_T


@compiled
def _cooccurrence_weights(of_N: Array, count: int) -> tuple[Array, Array]:
    """Weight of each play as a successor of an earlier play of one of the newest tracks, and as a predecessor."""
    N, kernel_L = len(of_N), COOCCURRENCE_KERNEL
    recent = min(N, RECENT_LISTENS)  # these are no earlier plays themselves
    recency_T = np.zeros(count)
    for place in range(recent):
        recency_T[of_N[N - 1 - place]] += 1 / (1 + 0.1 * place)
    next_N, before_N = np.zeros(N), np.zeros(N)
    for play in range(N - recent):
        recency = recency_T[of_N[play]]
        if recency > 0:
            for distance in range(1, len(kernel_L) + 1):
                if play + distance < N:
                    next_N[play + distance] += recency * kernel_L[distance - 1]
                if play >= distance:
                    before_N[play - distance] += recency * kernel_L[distance - 1]
    return next_N, before_N


@compiled
def _sum_plays(table: PlayTable, first_D: Array, next_N: Array, before_N: Array, hour: float, skip: float) -> PlaySums:
    """See PlaySums.

    Args:
        table: The plays of the user.
        first_D: Number of the first play within each of COUNT_DAYS.
        next_N: See `_cooccurrence_weights`.
        before_N: See there.
        hour: Hour of the request, UTC.
        skip: Weight of a skip in activations, relative to a listen.
    """
    of_N, ended_at_N, log_age_N, outcome_N, number_N = table[1:6]
    N, D, tracks = len(of_N), len(first_D), len(table.item_T)
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

        is_listened = 1.0 if outcome_N[play] >= LISTENED else 0.0
        weight = 1.0 if outcome_N[play] >= LISTENED else skip
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
        sums_S[FULL_PLAYS] += outcome_N[play] == FULL_PLAY
        sums_S[ACTIVATION_AT_HOUR] += at_hour * weight * to_5
        sums_S[LISTENS_AT_HOUR] += at_hour * is_listened
        if play - session_start < SESSION_START_PLAYS:
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
    return PlaySums(sums_TS, last_T3, first_T, session_N, is_new_N, is_first_N)


@compiled
def session_similarity(of_L: Array, session_L: Array, is_new_L: Array, tracks: int, newest: int) -> Array:
    """Summed cosine similarity of each track's sessions to the tracks of the `newest` newest ones (excluded).

    Args:
        of_L: Index of each listen's track.
        session_L: Number of each listen's session, ascending.
        is_new_L: Whether each is the first listen of its track in its session.
        tracks: Number of tracks.
        newest: Number of sessions.
    """
    first, similarity_T, in_newest_T = session_L[-1] + 1 - newest, np.zeros(tracks), np.zeros(tracks, np.bool_)
    size_S, shared_S = np.zeros((2, session_L[-1] + 1))
    in_newest_T[of_L[session_L >= first]] = True
    for place, track in enumerate(of_L):
        size_S[session_L[place]] += is_new_L[place]
        shared_S[session_L[place]] += is_new_L[place] and in_newest_T[track]
    length_S = np.sqrt(size_S * in_newest_T.sum())
    for place, track in enumerate(of_L):
        if is_new_L[place] and session_L[place] < first:
            similarity_T[track] += shared_S[session_L[place]] / length_S[session_L[place]]
    return similarity_T


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
    first_D, tracks = (-table.log_age_N).searchsorted(-LOG_COUNT_AGES), len(table.item_T)
    hour = table.request_at / 1e6 % DAY_S / HOUR_S
    sums = _sum_plays(table, first_D, *_cooccurrence_weights(table.of_N, tracks), hour, skip)
    similar_T1, similar_T4 = (
        session_similarity(table.of_N, sums.session_N, sums.is_new_N, tracks, count) for count in SIMILAR_SESSIONS
    )
    feature_CF = np.empty((len(candidate_C), len(FEATURE_NAMES)), dtype=np.float32)
    of_candidates = candidate_C, np.log(activation_T[candidate_C] + FLOOR), artist_of_track_V[table.item_T]
    _fill_features(table, sums, similar_T1, similar_T4, *of_candidates, first_D, hour, feature_CF)
    return feature_CF


@compiled
def _fill_features(
    table: PlayTable,
    sums: PlaySums,
    similar_T1: Array,
    similar_T4: Array,
    candidate_C: Array,
    log_activation_C: Array,
    artist_T: Array,
    first_D: Array,
    hour: float,
    feature_CF: Array,
) -> None:
    """Write the features."""
    N, artist_A = len(table.of_N), np.unique(artist_T)
    A, of_T, log_age_N = len(artist_A), np.searchsorted(artist_A, artist_T), table.log_age_N
    sum_AS, last_A, tracks_A, lately_A = np.zeros((A, len(SUMS))), np.zeros(A, np.int64), np.zeros(A), np.zeros(A)
    for t, artist in enumerate(of_T):
        sum_AS[artist] += sums.sums_TS[t]
        last_A[artist], tracks_A[artist] = max(last_A[artist], sums.last_T3[t, 0]), tracks_A[artist] + 1
        lately_A[artist] += sums.last_T3[t, 0] >= first_D[WEEK]
    share_A2, distinct_2 = np.zeros((A, 2)), np.zeros(2)
    for place in range(2):
        for track in table.of_N[-SHARE_PLAYS[place] :]:
            share_A2[of_T[track], place] += 1 / SHARE_PLAYS[place]
        distinct_2[place] = len(np.unique(table.of_N[-REQUEST_PLAYS[place] :])) / REQUEST_PLAYS[place]
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
        1 - (table.outcome_N[-50:] >= LISTENED).mean(),
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
            float(table.outcome_N[last]),
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
