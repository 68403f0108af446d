"""Features of played tracks for the learned order: when, how often and in which company a user played each.

They follow memory research and studies of repeated listening (see `training.recall.repeat_consumption`): frequency,
recency and spacing of plays, hour of the day, artist, and co-occurrence with the newest plays. All are functions of the
user's own plays before the request.

Legend: N plays of one user, T distinct tracks of them, C candidates, A artists, S sessions, F features.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequences.behaviours import session_gap_us
from sequences.sequence_batch import FIRST_CODE
from training.data.unique_keys import first_occurrence_mask, unique_inverse, unique_values
from training.recall.play_archive import FULL_PLAY, LISTENED, PastPlays
from training.recall.repeat_consumption import (
    COOCCURRENCE_KERNEL,
    DAY_S,
    HOUR_S,
    LOG_SMOOTHING,
    MIN_AGE_S,
    RECENT_LISTENS,
    SESSION_START_PLAYS,
)

Array = NDArray[Any]

DECAYS = (0.3, 0.5, 0.8, 1.0, 1.3)
START_DECAY, ACTIVE_DECAY = 0.8, 1.0
COUNT_DAYS = (1, 7, 28, 90, 365)
SIMILAR_SESSIONS = (1, 4)
SHARE_PLAYS = (10, 50)
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


@dataclass(frozen=True)
class PlayTable:
    """Plays of one user before a request, at least one, oldest first, and what many features share."""

    plays: PastPlays
    request_at: int  # µs UTC
    skip: float  # weight of a skip relative to a listen
    _strength: dict[float, Array] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def _tracks(self) -> tuple[Array, Array, Array]:
        order = np.argsort(self.plays.track_N, kind="stable")
        sorted_N = self.plays.track_N[order]
        is_first_N = first_occurrence_mask(sorted_N)
        of_N, previous_N = np.empty(len(order), dtype=np.int64), np.full(len(order), -1, dtype=np.int64)
        of_N[order] = is_first_N.cumsum() - 1
        previous_N[order[1:][~is_first_N[1:]]] = order[:-1][~is_first_N[1:]]
        return sorted_N[is_first_N], of_N, previous_N

    @property
    def item_T(self) -> Array:
        """The distinct tracks, ascending."""
        return self._tracks[0]

    @property
    def of_N(self) -> Array:
        """Index of each play's track among the distinct ones."""
        return self._tracks[1]

    @property
    def previous_N(self) -> Array:
        """The play before each play of the same track; -1 if there is none."""
        return self._tracks[2]

    @cached_property
    def is_listened_N(self) -> Array:
        """Whether each play is a listen."""
        return self.plays.outcome_N >= LISTENED

    @cached_property
    def log_age_N(self) -> Array:
        """Logarithm of each play's age in seconds."""
        age_N = np.maximum((self.request_at - self.plays.ended_at_N) / 1e6, MIN_AGE_S)
        log_age_N: Array = np.log(age_N)
        return log_age_N

    @cached_property
    def weight_N(self) -> Array:
        """1 for a listen, `skip` for a skip."""
        return np.where(self.is_listened_N, 1.0, self.skip)

    def strength_N(self, decay: float) -> Array:
        """Contribution of each play to the activation of its track."""
        if decay not in self._strength:
            self._strength[decay] = self.weight_N * np.exp(-decay * self.log_age_N)
        return self._strength[decay]

    def activation_T(self, decay: float, skip: float) -> Array:
        """Activation of each track if a skip counts `skip` of a listen."""
        if skip == self.skip:
            return self.total(self.strength_N(decay))
        return self.total(np.where(self.is_listened_N, 1.0, skip) * np.exp(-decay * self.log_age_N))

    def total(self, values_N: Array) -> Array:
        """Sum over the plays of each track, [T]."""
        return np.bincount(self.of_N, values_N, len(self.item_T))

    def first_within(self, days: float) -> int:
        """Number of plays that are older than some days."""
        return int(np.searchsorted(-self.log_age_N, -np.log(days * DAY_S)))

    @cached_property
    def last_T(self) -> Array:
        """The last play of each track."""
        last_T = np.zeros(len(self.item_T), dtype=np.int64)
        last_T[self.of_N] = np.arange(len(self.of_N))
        return last_T

    @cached_property
    def begins_session_N(self) -> Array:
        """Whether each play begins a session."""
        begins_N = np.ones(len(self.of_N), dtype=bool)
        begins_N[1:] = np.diff(self.plays.ended_at_N) > session_gap_us()
        return begins_N

    @cached_property
    def session_N(self) -> Array:
        """Number of each play's session, from 0."""
        session_N: Array = self.begins_session_N.cumsum() - 1
        return session_N

    @cached_property
    def is_new_in_session_N(self) -> Array:
        """Whether each play is the first one of its track in its session."""
        is_new_N: Array = (self.previous_N < 0) | (self.session_N != self.session_N[self.previous_N])
        return is_new_N

    @cached_property
    def hour(self) -> float:
        """Hour of the request, UTC."""
        return float(self.request_at / 1e6 % DAY_S / HOUR_S)

    @cached_property
    def nearness_N(self) -> tuple[Array, Array]:
        """Weight of each play as a successor of an earlier play of one of the newest tracks, and as a predecessor."""
        recent_R = self.of_N[-RECENT_LISTENS:][::-1]
        recency_T = np.bincount(recent_R, 1 / (1 + 0.1 * np.arange(len(recent_R))), len(self.item_T))
        signal_N = np.zeros(len(self.of_N))
        signal_N[: -len(recent_R)] = recency_T[self.of_N[: -len(recent_R)]]
        kernel = np.concatenate([[0], COOCCURRENCE_KERNEL])
        next_N = np.convolve(signal_N, kernel)[: len(signal_N)]
        return next_N, np.convolve(signal_N[::-1], kernel)[: len(signal_N)][::-1]

    def log_age_of(self, play_T: Array) -> Array:
        """Logarithm of the age of some plays; NEVER_LOG_S for play -1."""
        log_age_T: Array = np.append(self.log_age_N, NEVER_LOG_S)[play_T]
        return log_age_T


def candidate_features(table: PlayTable, candidate_C: Array, activation_T: Array, artist_of_track_V: Array) -> Array:
    """Features [C, F] of some tracks, float32, in the order of FEATURE_NAMES.

    Args:
        table: The plays of the request.
        candidate_C: Indices in `table.item_T` of at least one candidate, by activation.
        activation_T: Activation of each track.
        artist_of_track_V: Artist code of each track of the vocabulary.
    """
    log_activation_C = np.log(activation_T[candidate_C] + FLOOR)
    columns = {
        "log_rank": np.log1p(np.arange(len(candidate_C))),
        "log_activation_below_best": log_activation_C - log_activation_C[0],
    }
    for of_tracks in (_activation_columns(table), _spacing_columns(table), _company_columns(table)):
        columns |= {name: column_T[candidate_C] for name, column_T in of_tracks.items()}
    artist_T = artist_of_track_V[np.where(table.item_T < len(artist_of_track_V), table.item_T, 0)]
    columns |= {name: column_T[candidate_C] for name, column_T in _artist_columns(table, artist_T).items()}
    columns |= {"best_activation": log_activation_C[0], **_request_columns(table)}
    feature_CF = np.empty((len(candidate_C), len(FEATURE_NAMES)), dtype=np.float32)
    for place, name in enumerate(FEATURE_NAMES):
        feature_CF[:, place] = columns[name]
    return feature_CF


def _activation_columns(table: PlayTable) -> dict[str, Array]:
    """Columns [T] of frequency and recency."""
    total, listened_N = table.total, table.is_listened_N
    plays_T, listens_T = total(np.ones(len(listened_N))), total(listened_N)
    columns = {f"activation_{decay}": np.log(total(table.strength_N(decay)) + FLOOR) for decay in DECAYS}
    for days in COUNT_DAYS:
        first = table.first_within(days)
        recent_T = np.bincount(table.of_N[first:], listened_N[first:], len(plays_T))
        columns[f"listens_{days}d"] = np.log1p(recent_T)
    hours_apart_N = np.abs(table.plays.ended_at_N / 1e6 % DAY_S / HOUR_S - table.hour)
    at_hour_N = np.exp(-(np.minimum(hours_apart_N, 24 - hours_apart_N) ** 2) / 8)
    place_N = np.arange(len(listened_N))
    is_start_N = place_N - np.flatnonzero(table.begins_session_N)[table.session_N] < SESSION_START_PLAYS
    return columns | {
        "listens": np.log1p(listens_T),
        "skips": np.log1p(plays_T - listens_T),
        "full_play_share": total(table.plays.outcome_N == FULL_PLAY) / plays_T,
        "skip_share": (plays_T - listens_T) / plays_T,
        "activation_at_hour": np.log(total(at_hour_N * table.strength_N(0.5)) + FLOOR),
        "share_at_hour": total(at_hour_N * listened_N) / np.maximum(listens_T, 1),
        "activation_at_start": np.log(total(is_start_N * table.strength_N(START_DECAY)) + FLOOR),
        "last_outcome": table.plays.outcome_N[table.last_T],
    }


def _spacing_columns(table: PlayTable) -> dict[str, Array]:
    """Columns [T] of the times between plays."""
    previous_N, last_T, total = table.previous_N, table.last_T, table.total
    second_T = previous_N[last_T]
    third_T = np.where(second_T >= 0, previous_N[second_T], -1)
    has_previous_N = previous_N >= 0
    gap_s_N = (table.plays.ended_at_N - table.plays.ended_at_N[previous_N]) / 1e6
    log_gap_N = np.where(has_previous_N, np.log(np.maximum(gap_s_N, MIN_AGE_S)), 0.0)
    gaps_T = total(has_previous_N)
    mean_T = np.where(gaps_T > 0, total(log_gap_N) / np.maximum(gaps_T, 1), 20.0)
    variance_T = total(log_gap_N**2) / np.maximum(gaps_T, 1) - mean_T**2
    day_N = table.plays.ended_at_N // int(DAY_S * 1e6)
    session_N = table.session_N
    first_T = np.zeros(len(last_T), dtype=np.int64)
    first_T[table.of_N[::-1]] = np.arange(len(previous_N))[::-1]
    return {
        "last_age": table.log_age_of(last_T),
        "second_last_age": table.log_age_of(second_T),
        "third_last_age": table.log_age_of(third_T),
        "first_age": table.log_age_of(first_T),
        "plays_since": np.log1p(len(previous_N) - last_T),
        "mean_log_gap": mean_T,
        "deviation_log_gap": np.where(gaps_T > 1, np.sqrt(np.maximum(variance_T, 0)), -1.0),
        "last_age_over_gap": table.log_age_of(last_T) - mean_T,
        "days": np.log1p(total(~has_previous_N | (day_N != day_N[previous_N]))),
        "sessions": np.log1p(total(table.is_new_in_session_N)),
        "sessions_ago": np.log1p(session_N[-1] - session_N[last_T]),
    }


def _company_columns(table: PlayTable) -> dict[str, Array]:
    """Columns [T] of the tracks that were played before, after and in the same sessions as each track."""
    total, listened_N = table.total, table.is_listened_N
    next_N, before_N = table.nearness_N
    next_log_T = np.log(total(next_N * listened_N) + LOG_SMOOTHING)
    recency_N = np.exp(-0.5 * table.log_age_N)
    active_N = total(table.strength_N(ACTIVE_DECAY))[table.of_N]
    is_same_session = ~table.begins_session_N[1:]
    neighbor_N = np.zeros(len(active_N))
    neighbor_N[1:] += np.where(is_same_session, active_N[:-1], 0.0)
    neighbor_N[:-1] += np.where(is_same_session, active_N[1:], 0.0)
    columns = {
        "comes_next": next_log_T,
        "came_before": np.log(total(before_N * listened_N) + LOG_SMOOTHING),
        "next_beyond_count": next_log_T - np.log1p(total(listened_N)),
        "near_by_recency": np.log(total((next_N + before_N) * listened_N * recency_N) + 1e-6),
        "neighbor_activation": np.log(total(neighbor_N) / total(np.ones(len(active_N))) + FLOOR),
    }
    return columns | _session_columns(table)


def _session_columns(table: PlayTable) -> dict[str, Array]:
    """Columns [T]: summed similarity of each track's sessions to the tracks of the newest sessions (excluded)."""
    sessions = int(table.session_N[-1]) + 1
    track_P, session_P = (values_N[table.is_new_in_session_N] for values_N in (table.of_N, table.session_N))
    size_S, columns = np.bincount(session_P, minlength=sessions), {}
    for count in SIMILAR_SESSIONS:
        is_newest_T = np.zeros(len(table.item_T))
        is_newest_T[track_P[session_P >= sessions - count]] = 1
        shared_S = np.bincount(session_P, is_newest_T[track_P], sessions)
        similarity_S = shared_S / np.sqrt(size_S * is_newest_T.sum())
        similarity_S[max(sessions - count, 0) :] = 0
        similar_T = np.bincount(track_P, similarity_S[session_P], len(table.item_T))
        columns[f"with_last_{count}_sessions"] = np.log(similar_T + LOG_SMOOTHING)
    return columns


def _artist_columns(table: PlayTable, artist_T: Array) -> dict[str, Array]:
    """Columns [T] about the artist of each track; unknown artists are one artist without plays."""
    artist_A, of_T = unique_inverse(artist_T)
    of_N, A = of_T[table.of_N], len(artist_A)
    is_known_A = artist_A >= FIRST_CODE
    N = len(of_N)
    last_A = np.zeros(A, dtype=np.int64)
    last_A[of_N] = np.arange(N)
    month, week = table.first_within(28), table.first_within(7)
    is_recent_T = np.zeros(len(of_T))
    is_recent_T[table.of_N[week:]] = 1
    tracks_A = np.bincount(of_T, minlength=A)
    columns_A = {
        **{
            f"artist_activation_{decay}": np.log(np.bincount(of_N, table.strength_N(decay), A) + FLOOR)
            for decay in (0.5, 1.0)
        },
        "artist_plays": np.log1p(np.bincount(of_N, minlength=A)),
        "artist_last_age": table.log_age_of(last_A),
        "artist_plays_since": np.log1p(N - last_A),
        **{f"artist_share_of_{count}_plays": np.bincount(of_N[-count:], minlength=A) / count for count in SHARE_PLAYS},
        "artist_plays_28d": np.log1p(np.bincount(of_N[month:], minlength=A)),
        "artist_tracks": np.log1p(tracks_A),
        "artist_share_played_7d": np.bincount(of_T, is_recent_T, A) / tracks_A,
        "artist_comes_next": np.log(np.bincount(of_N, table.nearness_N[0] * table.is_listened_N, A) + 1e-2),
    }
    return {name: np.where(is_known_A, column_A, 0.0)[of_T] for name, column_A in columns_A.items()}


def _request_columns(table: PlayTable) -> dict[str, Any]:
    """Features that all candidates of a request share."""
    of_N, is_first_N = table.of_N, table.previous_N < 0
    N = len(of_N)
    angle = table.hour / 24 * 2 * np.pi
    return {
        "since_last_play": table.log_age_N[-1],
        **{f"plays_{days}d": np.log1p(N - table.first_within(days)) for days in (1, 7, 28)},
        "history_length": np.log1p(N),
        "distinct_share": len(table.item_T) / N,
        **{f"distinct_share_{count}": len(unique_values(of_N[-count:])) / count for count in (50, 500)},
        **{f"discovery_share_{count}": is_first_N[-count:].mean() for count in (50, 500)},
        "skip_share_50": 1 - table.is_listened_N[-50:].mean(),
        "plays_per_session": np.log1p(N / (table.session_N[-1] + 1)),
        "hour_sine": np.sin(angle),
        "hour_cosine": np.cos(angle),
    }
