"""Features of repeat consumption: for each track of a user's history, how likely it is to be played again.

The features follow memory research and studies of repeated listening: frequency, recency, spacing over sessions and
days, hour of the day, artist, co-occurrence with the newest listens, and skips. Base-level activation: Anderson et al.,
"An Integrated Theory of the Mind" (2004); repeat consumption: Anderson, Kumar, Tomkins, Vassilvitskii, "The Dynamics of
Repeat Consumption" (WWW 2014); music sessions: Tran, Tricard, Hennequin, "Transformers Meet ACT-R" (2024), arXiv
2408.16578.

Legend: B requests, N plays of one user, M distinct tracks of the history, A artists, S sessions, F features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequences.sequence_batch import FIRST_CODE, SequenceBatch
from sequences.sessions import sessionize
from training.data.unique_keys import unique_inverse, unique_values
from training.data.user_history import is_listened

Array = NDArray[Any]

DECAYS = (0.3, 0.5, 0.7, 1.0, 1.3)
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
    rows = []
    is_listened_BL, session_BL = is_listened(history), sessionize(history)
    for row, now in enumerate(request_at_B.tolist()):
        length = int(history.length_B[row])
        track_N = history.columns["track_id"][row, :length]
        known = np.flatnonzero((track_N >= FIRST_CODE) & (track_N < len(artist_of_track_V)))
        ended_N, listened_N = history.columns["ended_at"][row, known], is_listened_BL[row, known]
        plays = track_N[known], ended_N, listened_N, session_BL[row, known]
        rows.append(_features_of_user(*plays, now, artist_of_track_V, max_items))
    width = max((len(items) for items, _ in rows), default=0)
    item_BM = np.zeros((len(rows), width), dtype=np.int64)
    feature_BMF = np.zeros((len(rows), width, len(FEATURE_NAMES)), dtype=np.float32)
    for row, (items, features) in enumerate(rows):
        item_BM[row, : len(items)] = items
        feature_BMF[row, : len(items)] = features
    return RepeatConsumptionFeatures(item_BM, feature_BMF)


def _features_of_user(
    track_N: Array,
    ended_N: Array,
    listened_N: Array,
    session_N: Array,
    now_us: int,
    artist_of_track_V: Array,
    max_items: int,
) -> tuple[Array, Array]:
    """Items [M] and their features [M, F] of one user."""
    if not listened_N.any():
        return np.zeros(0, dtype=np.int64), np.zeros((0, len(FEATURE_NAMES)), dtype=np.float32)
    N, ended_s, now_s = len(track_N), ended_N / 1e6, now_us / 1e6
    age_N = np.maximum(now_s - ended_s, MIN_AGE_S)
    log_age_N = np.log(age_N)
    item_M, of_N = unique_inverse(track_N)
    M = len(item_M)
    place_N = np.arange(N)
    last_M, first_M = np.zeros(M, dtype=np.int64), np.zeros(M, dtype=np.int64)
    last_M[of_N] = place_N
    first_M[of_N[::-1]] = place_N[::-1]

    is_session_start_N = np.ones(N, dtype=bool)
    is_session_start_N[1:] = session_N[1:] != session_N[:-1]
    session_N = np.cumsum(is_session_start_N) - 1
    day_N, time_of_day_N = np.divmod(ended_N, DAY_US)
    is_start_N = place_N - np.flatnonzero(is_session_start_N)[session_N] < SESSION_START_PLAYS
    hour = now_s % DAY_S / HOUR_S
    hours_apart_N = np.abs(time_of_day_N / HOUR_US - hour)
    at_hour_N = np.exp(-(np.minimum(hours_apart_N, 24 - hours_apart_N) ** 2) / 8)
    play_weight_N = np.where(listened_N, 1.0, SKIP_WEIGHT)
    weight = dict(zip(DECAYS, play_weight_N * np.exp(np.outer(DECAYS, -log_age_N)), strict=True))
    listens = np.flatnonzero(listened_N)

    def total(values_N: Array) -> Array:
        return np.bincount(of_N, values_N, M)

    listens_M, skips_M = total(listened_N), total(~listened_N)
    activation = {decay: total(weight[decay]) for decay in DECAYS}
    next_M, before_M = (np.bincount(of_N[listens], weight_N, M) for weight_N in _cooccurrence_weights(of_N[listens], M))
    session_M, session_similarity_M = _session_features(of_N[listens], session_N[listens], M)
    next_log_M = np.log(next_M + LOG_SMOOTHING)
    outcome_N = np.where(listened_N, 1.0, -1.0)
    columns = [
        *(np.log(activation[decay]) for decay in DECAYS),
        np.log1p(listens_M),
        log_age_N[last_M],
        log_age_N[first_M],
        np.log1p(N - last_M),
        np.log1p(session_M),
        np.log1p(session_N[-1] - session_N[last_M]),
        np.log1p(_count_distinct_groups(of_N[listens], day_N[listens], M)),
        *(np.log1p(total(listened_N & (age_N < days * DAY_S))) for days in (1, 7, 30)),
        np.log(total(at_hour_N * weight[0.5]) + 1e-9),
        total(at_hour_N * listened_N) / np.maximum(listens_M, 1),
        np.log(total(is_start_N * weight[0.7]) + 1e-9),
        next_log_M,
        np.log(before_M + LOG_SMOOTHING),
        next_log_M - np.log1p(listens_M),
        np.log(session_similarity_M + LOG_SMOOTHING),
        np.log1p(skips_M),
        np.log(total(~listened_N * age_N**-0.5) + 1e-6),
        outcome_N[last_M],
        _second_last_outcome(of_N, outcome_N, last_M),
    ]
    columns += _artist_features(artist_of_track_V[item_M], of_N, listens, weight)
    request = (
        log_age_N[-1],
        np.log1p((age_N < 7 * DAY_S).sum()),
        M / N,
        np.sin(hour / 24 * 2 * np.pi),
        np.cos(hour / 24 * 2 * np.pi),
        np.log1p(N),
    )
    best = np.lexsort((item_M, -activation[0.7]))[:max_items]
    feature_MF = np.empty((len(best), len(FEATURE_NAMES)), dtype=np.float32)
    feature_MF[:, : len(columns)], feature_MF[:, len(columns) :] = np.stack(columns)[:, best].T, request
    return item_M[best], feature_MF


def _second_last_outcome(of_N: Array, outcome_N: Array, last_M: Array) -> Array:
    """Outcome (1 listened, -1 skipped) of the second-last play of each track; 0 if there is none."""
    found_M = np.zeros(len(last_M))
    earlier = np.flatnonzero(np.arange(len(of_N)) != last_M[of_N])
    found_M[of_N[earlier]] = outcome_N[earlier]
    return found_M


def _cooccurrence_weights(of_N: Array, count: int) -> Iterator[Array]:
    """Co-occurrence with the newest tracks: weight of each listen [N] as a successor of an earlier play of one of them,
    then as a predecessor.
    """
    recent_R = of_N[-RECENT_LISTENS:][::-1]
    earlier = of_N[: -len(recent_R)]
    recency_M = np.bincount(recent_R, 1 / (1 + 0.1 * np.arange(len(recent_R))), count)
    signal_N = np.zeros(len(of_N))
    signal_N[: len(earlier)] = recency_M[earlier]
    yield np.convolve(signal_N, np.concatenate([[0], COOCCURRENCE_KERNEL]))[: len(of_N)]
    yield np.convolve(signal_N[::-1], np.concatenate([[0], COOCCURRENCE_KERNEL]))[: len(of_N)][::-1]


def _count_distinct_groups(of_N: Array, group_N: Array, count: int) -> Array:
    """Number of distinct groups in which each of `count` things occurs."""
    pairs = unique_values(of_N * (group_N[-1] - group_N[0] + 1) + group_N - group_N[0])
    return np.bincount(pairs // (group_N[-1] - group_N[0] + 1), minlength=count)


def _session_features(of_N: Array, session_N: Array, count: int) -> tuple[Array, Array]:
    """Number of sessions with each track, and the summed cosine similarity of these sessions to the newest one
    (excluded).
    """
    sessions = int(session_N[-1]) + 1
    track_P, session_P = np.divmod(unique_values(of_N * np.int64(sessions) + session_N), sessions)
    size_S = np.bincount(session_P, minlength=sessions)
    in_newest_M = np.zeros(count)
    in_newest_M[track_P[session_P == sessions - 1]] = 1
    shared_S = np.bincount(session_P, in_newest_M[track_P], sessions)
    # Sessions without a listen have size 0; their similarity is not used.
    similarity_S = shared_S / np.sqrt(np.maximum(size_S, 1) * size_S[-1])
    similarity_S[-1] = 0
    return np.bincount(track_P, minlength=count), np.bincount(track_P, similarity_S[session_P], count)


def _artist_features(artist_M: Array, of_N: Array, listens: Array, weight: dict[float, Array]) -> list[Array]:
    """ARTIST_FEATURES of each track; 0 for tracks with an unknown artist."""
    artist_A, artist_of_M = unique_inverse(artist_M)
    artist_of_N = artist_of_M[of_N]
    A, listened = len(artist_A), artist_of_N[listens]
    next_A = np.bincount(listened, next(_cooccurrence_weights(listened, A)), A)
    columns_A = [
        *(np.log(np.bincount(artist_of_N, weight[decay], A)) for decay in (0.5, 1.0)),
        np.log1p(np.bincount(listened, minlength=A)),
        np.log(next_A + 1e-2),
    ]
    is_known_A = artist_A >= FIRST_CODE
    return [np.where(is_known_A, column_A, 0.0)[artist_of_M] for column_A in columns_A]
