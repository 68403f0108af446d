"""Listens of one user in order, and those before a request.

A listen lasts at least 30 s; the history consists of the earlier rows of any part. Legend: N listens, T distinct tracks
of the user, C cases.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.data.training_data import TrainingData

Ints = NDArray[np.int64]


class ListeningHistory:
    """Listens of one user.

    `tracks_T` and `artists` are in vocabulary order; `track_N` and `artist_N` are the indexes of each listen into them.
    """

    def __init__(self, data: TrainingData, user: int) -> None:
        plays, rows = data.plays, slice(data.plays.offset_U1[user], data.plays.offset_U1[user + 1])
        is_listen = plays.is_listened_P[rows]
        self.play_number_N = plays.play_number_P[rows][is_listen]
        self.known_at_N = plays.known_at_P[rows][is_listen]
        self.tracks_T, self.track_N = np.unique(plays.track_P[rows][is_listen], return_inverse=True)
        self.artists, self.artist_N = np.unique(plays.artist_P[rows][is_listen], return_inverse=True)

    def count_before(self, play_number: int) -> int:
        """Number of listens before a play."""
        return int(np.searchsorted(self.play_number_N, play_number))

    def played_mask(self, listens: int) -> NDArray[np.bool_]:
        """Mask [T] of the tracks among the first `listens` listens."""
        return np.bincount(self.track_N[:listens], minlength=len(self.tracks_T)) > 0

    def play_counts(self, play_number_C: Ints) -> Ints:
        """Number of listens of each track before each of some plays [C, T]; the plays must be in ascending order."""
        cases, tracks = len(play_number_C), len(self.tracks_T)
        first_N = np.searchsorted(play_number_C, self.play_number_N, side="right")
        listens = np.bincount(first_N * tracks + self.track_N, minlength=(cases + 1) * tracks)
        counts_CT: Ints = listens.reshape(cases + 1, tracks)[:cases].cumsum(0)
        return counts_CT
