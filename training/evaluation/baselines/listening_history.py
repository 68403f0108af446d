"""One user's listens in order, and what of them came before a request.

"Listened" is 30 s and more; the past is the earlier rows, whatever part they are in. Legend: N listens, T the user's
distinct tracks, C cases. Knows nothing about what is made of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.data.training_data import TrainingData

Ints = NDArray[np.int64]


class ListeningHistory:
    """`tracks_T` and `artists` in vocabulary order; `track_N` and `artist_N` number them from 0 within the user."""

    def __init__(self, data: TrainingData, user: int) -> None:
        plays, rows = data.plays, slice(data.plays.offset_U1[user], data.plays.offset_U1[user + 1])
        listened = plays.is_listened_P[rows]
        self.play_number_N = plays.play_number_P[rows][listened]
        self.known_at_N = plays.known_at_P[rows][listened]
        self.tracks_T, self.track_N = np.unique(plays.track_P[rows][listened], return_inverse=True)
        self.artists, self.artist_N = np.unique(plays.artist_P[rows][listened], return_inverse=True)

    def count_before(self, play_number: int) -> int:
        """How many of the listens came before a play: the history is the earlier rows, nothing else."""
        return int(np.searchsorted(self.play_number_N, play_number))

    def played_mask(self, seen: int) -> NDArray[np.bool_]:
        """Which of `tracks_T` were listened to among the first `seen` listens."""
        return np.bincount(self.track_N[:seen], minlength=len(self.tracks_T)) > 0

    def play_counts(self, play_number_C: Ints) -> Ints:
        """How often each track had been listened to before each of some plays, [C, T]; the plays are in order."""
        cases, tracks = len(play_number_C), len(self.tracks_T)
        first_N = np.searchsorted(play_number_C, self.play_number_N, side="right")
        listens = np.bincount(first_N * tracks + self.track_N, minlength=(cases + 1) * tracks)
        counts_CT: Ints = listens.reshape(cases + 1, tracks)[:cases].cumsum(0)
        return counts_CT
