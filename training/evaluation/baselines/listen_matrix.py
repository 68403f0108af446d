"""Listens that the baselines read: a matrix of the train part to fit them, and the history of one user before a request.

A listen lasts at least 30 s. The matrix counts the listens per user and track in the train part; the history of a user
consists of the earlier rows of any part.

Legend: U users, V vocabulary, I tracks of the catalog with a listen in the train part, N listens of one user,
T distinct tracks that one user listened to, H distinct tracks that one user played, C cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from training.data.plays import PARTS
from training.data.training_data import TrainingData

Ints = NDArray[np.int64]


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


class ListeningHistory:
    """Listens of one user in order, and the tracks that the user played for any duration.

    `tracks_T` and `artists` are in vocabulary order; `track_N` and `artist_N` are the indexes of each listen into them.
    `first_play_number_H` has the number of the first play of each of `played_tracks_H`.
    """

    def __init__(self, data: TrainingData, user: int) -> None:
        plays, rows = data.plays, slice(data.plays.offset_U1[user], data.plays.offset_U1[user + 1])
        is_listen = plays.is_listened_P[rows]
        self.play_number_N = plays.play_number_P[rows][is_listen]
        self.known_at_N = plays.known_at_P[rows][is_listen]
        self.tracks_T, self.track_N = np.unique(plays.track_P[rows][is_listen], return_inverse=True)
        self.artists, self.artist_N = np.unique(plays.artist_P[rows][is_listen], return_inverse=True)
        self.played_tracks_H, first = np.unique(plays.track_P[rows], return_index=True)
        self.first_play_number_H = plays.play_number_P[rows][first]

    def count_before(self, play_number: int) -> int:
        """Number of listens before a play."""
        return int(np.searchsorted(self.play_number_N, play_number))

    def listened_mask(self, listens: int) -> NDArray[np.bool_]:
        """Mask [T] of the tracks among the first `listens` listens."""
        return np.bincount(self.track_N[:listens], minlength=len(self.tracks_T)) > 0

    def play_counts(self, play_number_C: Ints) -> Ints:
        """Number of listens of each track before each of some plays [C, T]; the plays must be in ascending order."""
        cases, tracks = len(play_number_C), len(self.tracks_T)
        first_N = np.searchsorted(play_number_C, self.play_number_N, side="right")
        listens = np.bincount(first_N * tracks + self.track_N, minlength=(cases + 1) * tracks)
        counts_CT: Ints = listens.reshape(cases + 1, tracks)[:cases].cumsum(0)
        return counts_CT


def raise_counts(counts: NDArray[np.number], power: float) -> NDArray[np.float32]:
    """`counts ** power`, element-wise; zero counts stay 0."""
    return np.where(counts > 0, np.asarray(counts, dtype=np.float32) ** np.float32(power), np.float32(0))
