"""Features of repeat consumption: for each track of a user's history, how likely it is to be played again.

The features follow memory research and studies of repeated listening: frequency, recency, spacing over sessions and
days, hour of the day, artist, co-occurrence with the newest listens, and skips. Base-level activation: Anderson et al.,
"An Integrated Theory of the Mind" (2004); repeat consumption: Anderson, Kumar, Tomkins, Vassilvitskii, "The Dynamics of
Repeat Consumption" (WWW 2014); music sessions: Tran, Tricard, Hennequin, "Transformers Meet ACT-R" (2024), arXiv
2408.16578.

Compiled, because NumPy needs three hundred calls.

Legend: B requests, N plays of one user, T distinct tracks of them, M tracks returned, L listens (or distances), A artists, S
sessions, D decays or lengths of time, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sequences.sequence_batch import FIRST_CODE, SequenceBatch
from sequences.sessions import sessionize
from training.data.user_history import is_listened
from training.engine.numba_compile import compiled

Array = NDArray[Any]

DECAYS = (0.3, 0.5, 0.7, 1.0, 1.3)
RANKING_DECAY = DECAYS.index(0.7)
MIN_AGE_S = 60.0
DAY_S, HOUR_S = 86_400.0, 3_600.0
DAY_US, HOUR_US = 86_400_000_000, 3_600_000_000
RECENT_LISTENS = 10
"""Number of newest listens whose usual successors and predecessors are looked up."""
COOCCURRENCE_KERNEL = 1.0 / (4 + np.arange(1, 21))
"""Weight of a listen 1, 2, … 20 positions after (or before) an earlier play of one of the newest tracks."""
SESSION_START_PLAYS = 8
SKIP_WEIGHT = 0.3
"""Weight of a skip in activations, relative to a listen."""

TRACK_FEATURES = (
    *(f"activation_{decay}" for decay in DECAYS),
    "listens",
    "last_age",
    "first_age",
    "last_place",
    "sessions",
    "sessions_ago",
    "days",
    "listens_1d",
    "listens_7d",
    "listens_30d",
    "activation_at_hour",
    "share_at_hour",
    "activation_at_start",
    "comes_next",
    "came_before",
    "next_beyond_count",
    "with_this_session",
    "skips",
    "skip_activation",
    "last_outcome",
    "outcome_before",
)
ARTIST_FEATURES = ("artist_activation_0.5", "artist_activation_1.0", "artist_listens", "artist_comes_next")
REQUEST_FEATURES = ("since_last_listen", "plays_7d", "distinct_share", "hour_sine", "hour_cosine", "history_length")
FEATURE_NAMES = (*TRACK_FEATURES, *ARTIST_FEATURES, *REQUEST_FEATURES)
LOG_SMOOTHING = 1e-3

(
    LISTENS,
    LISTENS_1D,
    LISTENS_7D,
    LISTENS_30D,
    LISTENS_AT_HOUR,
    DAYS,
    SESSIONS,
    SKIPS,
    SKIP_ACTIVATION,
    AT_HOUR,
    AT_START,
    OUTCOME,
    OUTCOME_BEFORE,
    SUMS,
) = range(len(DECAYS), len(DECAYS) + 14)
"""Columns of the sums of a track, after its activations by DECAYS."""


@dataclass(frozen=True)
class RepeatConsumptionFeatures:
    """Up to M tracks of each of B users, by descending activation.

    `item_BM`: int64, 0 = no track. `feature_BMF`: float32, features in the order of FEATURE_NAMES, 0 where there is no
    track.
    """

    item_BM: Array
    feature_BMF: Array


def repeat_consumption_features(
    history: SequenceBatch, request_at_B: Array, artist_of_track_V: Array, max_items: int
) -> RepeatConsumptionFeatures:
    """The `max_items` tracks of each history with the highest activation (decay 0.7), with their features.

    Skipped plays count SKIP_WEIGHT of a listen in activations and do not count as listens, so tracks that were only
    skipped are included.

    Args:
        history: The plays of each request, oldest first.
        request_at_B: Request time in µs.
        artist_of_track_V: Artist code of each track.
        max_items: Maximum number of tracks per user. Ties are broken by smaller item code.
    """
    columns = history.columns["track_id"], history.columns["ended_at"], is_listened(history), sessionize(history)
    shape, width = (len(request_at_B), min(max_items, columns[0].shape[1])), 0
    item_BM, feature_BMF = np.zeros(shape, np.int64), np.zeros((*shape, len(FEATURE_NAMES)), np.float32)
    for row, (length, now_us) in enumerate(zip(history.length_B.tolist(), request_at_B.tolist(), strict=True)):
        plays = Plays(*(column_BL[row, :length] for column_BL in columns))
        found = item_BM[row], feature_BMF[row]
        width = max(width, _fill_features(plays, now_us, artist_of_track_V, COOCCURRENCE_KERNEL, *found))
    return RepeatConsumptionFeatures(item_BM[:, :width], feature_BMF[:, :width])


class Plays(NamedTuple):
    """Plays of one user, oldest first."""

    track_N: Array
    ended_at_N: Array  # µs UTC
    is_listened_N: Array
    session_N: Array  # ascending


@compiled
def cooccurrence_weights(of_N: Array, count: int, recent: int, kernel_L: Array) -> tuple[Array, Array]:
    """Weight of each play as a successor of an earlier play of one of the newest tracks, and as a predecessor.

    Args:
        of_N: Index of each play's track, oldest play first.
        count: Number of tracks.
        recent: Number of newest plays, which are no earlier plays themselves.
        kernel_L: Weight of a play 1, 2, … L positions after (or before) an earlier play.
    """
    N, recent = len(of_N), min(len(of_N), recent)
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
def _fill_features(
    plays: Plays, now_us: int, artist_V: Array, kernel_L: Array, item_M: Array, feature_MF: Array
) -> int:
    """Write the most active tracks of one user and their features; returns their number, 0 without a listen."""
    known = np.flatnonzero((plays.track_N >= FIRST_CODE) & (plays.track_N < len(artist_V)))
    plays = Plays(plays.track_N[known], plays.ended_at_N[known], plays.is_listened_N[known], plays.session_N[known])
    if not plays.is_listened_N.any():
        return 0
    age_N = np.maximum(now_us / 1e6 - plays.ended_at_N / 1e6, MIN_AGE_S)
    log_age_N, hour = np.log(age_N), now_us / 1e6 % DAY_S / HOUR_S
    track_T = np.unique(plays.track_N)
    of_N, N, T = np.searchsorted(track_T, plays.track_N), len(age_N), len(track_T)
    artist_A = np.unique(artist_V[track_T])
    artist_of_T = np.searchsorted(artist_A, artist_V[track_T])
    sums_TS, first_T, last_T, session_N, is_new_N = _sum_plays(plays, of_N, T, age_N, log_age_N, hour)
    listens = np.flatnonzero(plays.is_listened_N)
    of_L, session_L = of_N[listens], session_N[listens]
    next_T, before_T = _cooccurrence_sums(of_L, T, kernel_L)
    next_A, _ = _cooccurrence_sums(artist_of_T[of_L], len(artist_A), kernel_L)
    similarity_T = session_similarity(of_L, session_L, is_new_N[listens], T, 1)
    sums_AS = np.zeros((len(artist_A), sums_TS.shape[1]))
    for t in range(T):
        sums_AS[artist_of_T[t]] += sums_TS[t]
    plays_7d = np.count_nonzero(age_N < 7 * DAY_S)
    best = np.argsort(-sums_TS[:, RANKING_DECAY], kind="mergesort")[: len(item_M)]
    for m, t in enumerate(best):
        item_M[m] = track_T[t]
        sums_S, artist_S, artist = sums_TS[t], sums_AS[artist_of_T[t]], artist_of_T[t]
        is_known = 1.0 if artist_A[artist] >= FIRST_CODE else 0.0
        values = (
            np.log(sums_S[0]),
            np.log(sums_S[1]),
            np.log(sums_S[2]),
            np.log(sums_S[3]),
            np.log(sums_S[4]),
            np.log1p(sums_S[LISTENS]),
            log_age_N[last_T[t]],
            log_age_N[first_T[t]],
            np.log1p(N - last_T[t]),
            np.log1p(sums_S[SESSIONS]),
            np.log1p(session_N[-1] - session_N[last_T[t]]),
            np.log1p(sums_S[DAYS]),
            np.log1p(sums_S[LISTENS_1D]),
            np.log1p(sums_S[LISTENS_7D]),
            np.log1p(sums_S[LISTENS_30D]),
            np.log(sums_S[AT_HOUR] + 1e-9),
            sums_S[LISTENS_AT_HOUR] / max(sums_S[LISTENS], 1.0),
            np.log(sums_S[AT_START] + 1e-9),
            np.log(next_T[t] + LOG_SMOOTHING),
            np.log(before_T[t] + LOG_SMOOTHING),
            np.log(next_T[t] + LOG_SMOOTHING) - np.log1p(sums_S[LISTENS]),
            np.log(similarity_T[t] + LOG_SMOOTHING),
            np.log1p(sums_S[SKIPS]),
            np.log(sums_S[SKIP_ACTIVATION] + 1e-6),
            sums_S[OUTCOME],
            sums_S[OUTCOME_BEFORE],
            is_known * np.log(artist_S[1]),
            is_known * np.log(artist_S[3]),
            is_known * np.log1p(artist_S[LISTENS]),
            is_known * np.log(next_A[artist] + 1e-2),
            log_age_N[-1],
            np.log1p(plays_7d),
            T / N,
            np.sin(hour / 24 * 2 * np.pi),
            np.cos(hour / 24 * 2 * np.pi),
            np.log1p(N),
        )
        feature_MF[m] = np.array(values)
    return len(best)


@compiled
def _sum_plays(
    plays: Plays, of_N: Array, tracks: int, age_N: Array, log_age_N: Array, hour: float
) -> tuple[Array, Array, Array, Array, Array]:
    """Sums of the plays of each track; its oldest and newest play; number of each play's session, from 0; and whether
    each play is the first listen of its track in its session.
    """
    sums_TS, last_day_T = np.zeros((tracks, SUMS)), np.full(tracks, -1)
    first_T, last_T, last_session_T = np.full(tracks, -1), np.full(tracks, -1), np.full(tracks, -1)
    session_N, is_new_N, session_start = np.zeros(len(of_N), np.int64), np.zeros(len(of_N), np.bool_), 0
    for n in range(len(of_N)):
        begins = n > 0 and plays.session_N[n] != plays.session_N[n - 1]
        session_start = n if begins else session_start
        session_N[n] = session_N[max(n - 1, 0)] + begins
        track, is_listened = of_N[n], plays.is_listened_N[n]
        sums_S, weight = sums_TS[track], 1.0 if is_listened else SKIP_WEIGHT
        for d in range(len(DECAYS)):
            sums_S[d] += weight * np.exp(-DECAYS[d] * log_age_N[n])
        hours_apart = abs(plays.ended_at_N[n] % DAY_US / HOUR_US - hour)
        at_hour = np.exp(-(min(hours_apart, 24 - hours_apart) ** 2) / 8)
        sums_S[AT_HOUR] += at_hour * weight * np.exp(-0.5 * log_age_N[n])
        if n - session_start < SESSION_START_PLAYS:
            sums_S[AT_START] += weight * np.exp(-0.7 * log_age_N[n])
        sums_S[OUTCOME_BEFORE], sums_S[OUTCOME] = sums_S[OUTCOME], 1.0 if is_listened else -1.0
        first_T[track], last_T[track] = n if first_T[track] < 0 else first_T[track], n
        if is_listened:
            day = plays.ended_at_N[n] // DAY_US
            is_new_N[n] = session_N[n] != last_session_T[track]
            sums_S[LISTENS] += 1
            sums_S[LISTENS_AT_HOUR] += at_hour
            sums_S[LISTENS_1D] += age_N[n] < DAY_S
            sums_S[LISTENS_7D] += age_N[n] < 7 * DAY_S
            sums_S[LISTENS_30D] += age_N[n] < 30 * DAY_S
            sums_S[DAYS] += day != last_day_T[track]
            sums_S[SESSIONS] += is_new_N[n]
            last_day_T[track], last_session_T[track] = day, session_N[n]
        else:
            sums_S[SKIPS] += 1
            sums_S[SKIP_ACTIVATION] += age_N[n] ** -0.5
    return sums_TS, first_T, last_T, session_N, is_new_N


@compiled
def _cooccurrence_sums(of_L: Array, count: int, kernel_L: Array) -> tuple[Array, Array]:
    """Sums of `cooccurrence_weights` of listens by track or artist."""
    next_L, before_L = cooccurrence_weights(of_L, count, RECENT_LISTENS, kernel_L)
    next_T, before_T = np.zeros(count), np.zeros(count)
    for place, track in enumerate(of_L):
        next_T[track] += next_L[place]
        before_T[track] += before_L[place]
    return next_T, before_T


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
