"""Plays that the baselines read: the plays of one user before a request, and the sessions of the train part.

Legend: U users, N plays of one user, T distinct tracks of one user, E pairs of a session and a track listened to in it,
S sessions of one user, I tracks of the listen matrix, C cases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from training.data.plays import PARTS
from training.data.recall_cases import RecallCases, row_chunks
from training.data.training_data import TrainingData

CASE_BATCH_SIZE = 32

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ListenMatrix:
    """Number of listens per user and track in the train part."""

    counts_UI: csr_array
    tracks_I: Ints  # track code of each column, by descending number of listens
    column_V: Ints  # column of each track code, -1 if it has none

    @classmethod
    def from_data(cls, data: TrainingData) -> ListenMatrix:
        """From the listens of the train part."""
        plays = data.plays
        is_counted_P = plays.is_listened_P & (plays.part_P == PARTS.index("train")) & data.catalog_V[plays.track_P]
        listens_V = np.bincount(plays.track_P[is_counted_P], minlength=len(data.vocabulary))
        tracks_I = np.argsort(-listens_V, kind="stable")[: np.count_nonzero(listens_V)]
        column_V = np.full(len(data.vocabulary), -1, dtype=np.int64)
        column_V[tracks_I] = np.arange(len(tracks_I))
        positions = plays.user_P[is_counted_P], column_V[plays.track_P[is_counted_P]]
        ones = np.ones(len(positions[0]), dtype=np.float32)
        counts_UI = csr_array((ones, positions), shape=(len(data.user_ids_U), len(tracks_I)))
        counts_UI.sum_duplicates()
        return cls(counts_UI, tracks_I, column_V)

    def raise_counts(self, power: float) -> csr_array:
        """`counts_UI ** power`, element-wise over the stored values; power 0 gives a binary matrix."""
        raised = self.counts_UI.copy()
        raised.data **= power
        return raised


def raise_counts(counts: NDArray[np.number], power: float) -> NDArray[np.float32]:
    """`counts ** power`, element-wise; zero counts stay 0."""
    return np.where(counts > 0, np.asarray(counts, dtype=np.float32) ** np.float32(power), np.float32(0))


class UserPlays:
    """All plays of one user in order, skips included, and the tracks listened to in each session.

    `track_N` and `track_E` index `tracks_T`, which has the codes of all played tracks, ascending. Sessions without a
    listen are not counted.
    """

    def __init__(self, data: TrainingData, user: int) -> None:
        plays, rows = data.plays, slice(data.plays.offset_U1[user], data.plays.offset_U1[user + 1])
        self.user = user
        self.play_number_N: Ints = plays.play_number_P[rows].astype(np.int64)
        self.known_at_N: Ints = plays.known_at_P[rows]
        self.is_listened_N: NDArray[np.bool_] = plays.is_listened_P[rows]
        self.tracks_T, self.track_N = np.unique(plays.track_P[rows], return_inverse=True)
        listens = np.flatnonzero(self.is_listened_N)
        session = np.unique(plays.session_start_P[rows][listens], return_inverse=True)[1].astype(np.int64)
        first = np.sort(np.unique(session * len(self.tracks_T) + self.track_N[listens], return_index=True)[1])
        self.session_E: Ints = session[first]
        self.track_E: Ints = self.track_N[listens[first]]
        self.play_number_E: Ints = self.play_number_N[listens[first]]

    def listen_counts(self, play_number_C: Ints) -> Ints:
        """Number of listens of each track before each of some plays [C, T]; the plays must be in ascending order."""
        cases, tracks = len(play_number_C), len(self.tracks_T)
        case_N = np.searchsorted(play_number_C, self.play_number_N[self.is_listened_N], side="right")
        listens = np.bincount(case_N * tracks + self.track_N[self.is_listened_N], minlength=(cases + 1) * tracks)
        return listens.reshape(cases + 1, tracks)[:cases].cumsum(0)

    @property
    def sessions(self) -> int:
        """Number of sessions with a listen, S."""
        return int(self.session_E[-1]) + 1 if len(self.session_E) else 0

    def sum_over_sessions(self, play_number: int, weight_S: Floats) -> Floats:
        """Weights of the sessions before a play, summed over those in which each track was listened to, [T].

        Args:
            play_number: Number of the play.
            weight_S: Weights of sessions with a listen, the newest first.
        """
        pairs = int(np.searchsorted(self.play_number_E, play_number))
        if not pairs:
            return np.zeros(len(self.tracks_T))
        age = self.session_E[pairs - 1] - self.session_E[:pairs]
        sums = np.bincount(self.track_E[:pairs], weights=weight_S[age], minlength=len(self.tracks_T))
        return sums.astype(np.float64, copy=False)

    def count_sessions(self, play_number: int) -> int:
        """Number of sessions with a listen before a play."""
        pairs = int(np.searchsorted(self.play_number_E, play_number))
        return int(self.session_E[pairs - 1]) + 1 if pairs else 0


@dataclass
class UserCases:
    """Cases of one user in order."""

    rows: Ints  # of the cases
    plays: UserPlays
    play_number_C: Ints
    request_at_C: Ints  # µs UTC

    @classmethod
    def from_cases(cls, data: TrainingData, cases: RecallCases, rows: Ints) -> Self:
        """The cases of `rows`, which are of one user."""
        plays = UserPlays(data, int(cases.user_C[rows[0]]))
        return cls(rows, plays, cases.play_number_C[rows], cases.request_at_C[rows])

    def __len__(self) -> int:
        """Number of cases, C."""
        return len(self.rows)


@dataclass(frozen=True)
class TrainSessions:
    """Pairs of a session and a track that was listened to in it, of all users, in the train part."""

    listens: ListenMatrix
    user_E: Ints
    column_E: Ints  # column of the track in the listen matrix
    age_E: Ints  # newer sessions of the same user
    sessions_U: Ints  # number of sessions of each user

    @classmethod
    def from_data(cls, data: TrainingData) -> Self:
        """From the listens of the train part to tracks of the catalog."""
        listens = ListenMatrix.from_data(data)
        plays, tracks, users = data.plays, max(len(listens.tracks_I), 1), len(data.user_ids_U)
        rows = np.flatnonzero(
            plays.is_listened_P & (plays.part_P == PARTS.index("train")) & (listens.column_V[plays.track_P] >= 0)
        )
        starts, session = np.unique(plays.session_start_P[rows], return_inverse=True)
        session_E, column_E = np.divmod(
            np.unique(session * np.int64(tracks) + listens.column_V[plays.track_P[rows]]), tracks
        )
        user_S = plays.user_P[starts]
        user_E = user_S[session_E].astype(np.int64)
        last_U = np.searchsorted(user_S, np.arange(users), side="right") - 1
        sessions_U = np.bincount(user_S, minlength=users)
        return cls(listens, user_E, column_E, last_U[user_E] - session_E, sessions_U)

    def vectors(self, weight_E: Floats) -> csr_array:
        """Sums of the weights of each user's sessions with each track, [I, U]; weights of 0 are not stored."""
        kept = np.flatnonzero(weight_E)
        positions = self.column_E[kept], self.user_E[kept]
        shape = len(self.listens.tracks_I), len(self.sessions_U)
        return csr_array((weight_E[kept].astype(np.float32), positions), shape=shape)


def iterate_user_batches(cases: RecallCases) -> Iterator[Ints]:
    """Rows of the cases of one user, at most CASE_BATCH_SIZE at a time."""
    for user in np.unique(cases.user_C):
        rows = np.flatnonzero(cases.user_C == user)
        yield from (rows[chunk] for chunk in row_chunks(len(rows), CASE_BATCH_SIZE))
