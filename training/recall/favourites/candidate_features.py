"""Features of played tracks for the learned order: when, how often and in which company a user played each.

They follow memory research and studies of repeated listening (see `training.recall.repeat_consumption`): frequency,
recency and spacing of plays, hour of the day, artist, and co-occurrence with the newest plays. All are functions of the
user's own plays before the request.

Legend: N plays of one user, T distinct tracks of them, C candidates, A artists, S sessions, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequences.sequence_batch import FIRST_CODE
from training.data.unique_keys import unique_inverse, unique_values
from training.recall.favourites.play_sums import COUNT_DAYS, DECAYS, PlayColumns, PlaySums, SumOptions, sum_plays
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

    @cached_property
    def _tracks(self) -> tuple[Array, Array]:
        return unique_inverse(self.plays.track_N)

    @property
    def item_T(self) -> Array:
        """The distinct tracks, ascending."""
        return self._tracks[0]

    @property
    def of_N(self) -> Array:
        """Index of each play's track among the distinct ones."""
        return self._tracks[1]

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

    def activation_T(self, decay: float, skip: float) -> Array:
        """Activation of each track if a skip counts `skip` of a listen."""
        strength_N = np.where(self.is_listened_N, 1.0, skip) * np.exp(-decay * self.log_age_N)
        return np.bincount(self.of_N, strength_N, len(self.item_T))

    def first_within(self, days: float) -> int:
        """Number of plays that are older than some days."""
        return int(np.searchsorted(-self.log_age_N, -np.log(days * DAY_S)))

    @cached_property
    def sums(self) -> PlaySums:
        """Sums and positions of the plays of each track."""
        plays = PlayColumns(
            self.of_N,
            self.plays.ended_at_N,
            self.log_age_N,
            self.is_listened_N,
            self.plays.outcome_N == FULL_PLAY,
            self.plays.session_N,
        )
        first_D = np.array([self.first_within(days) for days in COUNT_DAYS])
        options = SumOptions(self.hour, self.skip, RECENT_LISTENS, SESSION_START_PLAYS)
        return sum_plays(plays, len(self.item_T), first_D, COOCCURRENCE_KERNEL, options)

    @cached_property
    def hour(self) -> float:
        """Hour of the request, UTC."""
        return float(self.request_at / 1e6 % DAY_S / HOUR_S)

    def log_age_of(self, play_T: Array) -> Array:
        """Logarithm of the age of some plays; NEVER_LOG_S for play -1."""
        log_age_T: Array = self._log_age_or_never[play_T]
        return log_age_T

    @cached_property
    def _log_age_or_never(self) -> Array:
        return np.append(self.log_age_N, NEVER_LOG_S)


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
    chosen = table.sums.take(candidate_C)
    columns |= _activation_columns(table, chosen) | _spacing_columns(table, chosen) | _company_columns(chosen)
    columns |= {name: column_T[candidate_C] for name, column_T in _session_columns(table).items()}
    artist_T = artist_of_track_V[np.where(table.item_T < len(artist_of_track_V), table.item_T, 0)]
    columns |= _artist_columns(table, artist_T, candidate_C)
    columns |= {"best_activation": log_activation_C[0], **_request_columns(table)}
    feature_CF = np.empty((len(candidate_C), len(FEATURE_NAMES)), dtype=np.float32)
    for place, name in enumerate(FEATURE_NAMES):
        feature_CF[:, place] = columns[name]
    return feature_CF


def _activation_columns(table: PlayTable, chosen: PlaySums) -> dict[str, Array]:
    """Columns [C] of frequency and recency."""
    column = chosen.column
    plays_C, listens_C = column("plays"), column("listens")
    return {
        **{f"activation_{decay}": np.log(column(f"activation_{decay}") + FLOOR) for decay in DECAYS},
        **{f"listens_{days}d": np.log1p(column(f"listens_{days}d")) for days in COUNT_DAYS},
        "listens": np.log1p(listens_C),
        "skips": np.log1p(plays_C - listens_C),
        "full_play_share": column("full_plays") / plays_C,
        "skip_share": (plays_C - listens_C) / plays_C,
        "activation_at_hour": np.log(column("activation_at_hour") + FLOOR),
        "share_at_hour": column("listens_at_hour") / np.maximum(listens_C, 1),
        "activation_at_start": np.log(column("activation_at_start") + FLOOR),
        "last_outcome": table.plays.outcome_N[chosen.last_T3[:, 0]],
    }


def _spacing_columns(table: PlayTable, chosen: PlaySums) -> dict[str, Array]:
    """Columns [C] of the times between plays."""
    column, session_N = chosen.column, chosen.session_N
    last_C, second_C, third_C = chosen.last_T3.T
    gaps_C = column("gaps")
    mean_C = np.where(gaps_C > 0, column("log_gap") / np.maximum(gaps_C, 1), 20.0)
    variance_C = column("squared_log_gap") / np.maximum(gaps_C, 1) - mean_C**2
    return {
        "last_age": table.log_age_of(last_C),
        "second_last_age": table.log_age_of(second_C),
        "third_last_age": table.log_age_of(third_C),
        "first_age": table.log_age_of(chosen.first_T),
        "plays_since": np.log1p(len(session_N) - last_C),
        "mean_log_gap": mean_C,
        "deviation_log_gap": np.where(gaps_C > 1, np.sqrt(np.maximum(variance_C, 0)), -1.0),
        "last_age_over_gap": table.log_age_of(last_C) - mean_C,
        "days": np.log1p(column("days")),
        "sessions": np.log1p(column("sessions")),
        "sessions_ago": np.log1p(session_N[-1] - session_N[last_C]),
    }


def _company_columns(chosen: PlaySums) -> dict[str, Array]:
    """Columns [C] of the plays before and after those of each track."""
    column = chosen.column
    next_log_C = np.log(column("comes_next") + LOG_SMOOTHING)
    return {
        "comes_next": next_log_C,
        "came_before": np.log(column("came_before") + LOG_SMOOTHING),
        "next_beyond_count": next_log_C - np.log1p(column("listens")),
        "near_by_recency": np.log(column("near_by_recency") + 1e-6),
        "neighbor_activation": np.log(column("neighbors") / column("plays") + FLOOR),
    }


def _session_columns(table: PlayTable) -> dict[str, Array]:
    """Columns [T]: summed similarity of each track's sessions to the tracks of the newest sessions (excluded)."""
    sums = table.sums
    sessions = int(sums.session_N[-1]) + 1
    track_P, session_P = (values_N[sums.is_new_N] for values_N in (table.of_N, sums.session_N))
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


def _artist_columns(table: PlayTable, artist_T: Array, candidate_C: Array) -> dict[str, Array]:
    """Columns [C] about the artist of each candidate; unknown artists are one artist without plays."""
    artist_A, of_T = unique_inverse(artist_T)
    N, A = len(table.of_N), len(artist_A)

    def total(name: str) -> Array:
        return np.bincount(of_T, table.sums.column(name), A)

    last_T = table.sums.last_T3[:, 0]
    last_A = np.zeros(A, dtype=np.int64)
    np.maximum.at(last_A, of_T, last_T)
    tracks_A = np.bincount(of_T, minlength=A)
    newest_N = of_T[table.of_N[-max(SHARE_PLAYS) :]]
    columns_A = {
        **{f"artist_activation_{decay}": np.log(total(f"activation_{decay}") + FLOOR) for decay in (0.5, 1.0)},
        "artist_plays": np.log1p(total("plays")),
        "artist_last_age": table.log_age_of(last_A),
        "artist_plays_since": np.log1p(N - last_A),
        **{
            f"artist_share_of_{count}_plays": np.bincount(newest_N[-count:], minlength=A) / count
            for count in SHARE_PLAYS
        },
        "artist_plays_28d": np.log1p(total("plays_28d")),
        "artist_tracks": np.log1p(tracks_A),
        "artist_share_played_7d": np.bincount(of_T, last_T >= table.first_within(7), A) / tracks_A,
        "artist_comes_next": np.log(total("comes_next") + 1e-2),
    }
    is_known_A = artist_A >= FIRST_CODE
    of_C = of_T[candidate_C]
    return {name: np.where(is_known_A, column_A, 0.0)[of_C] for name, column_A in columns_A.items()}


def _request_columns(table: PlayTable) -> dict[str, Any]:
    """Features that all candidates of a request share."""
    of_N, is_first_N = table.of_N, table.sums.is_first_N
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
        "plays_per_session": np.log1p(N / (table.sums.session_N[-1] + 1)),
        "hour_sine": np.sin(angle),
        "hour_cosine": np.cos(angle),
    }
