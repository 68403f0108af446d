"""How often each user had listened to each track in the train part: what a baseline may learn from.

Legend: U users, V vocabulary, I tracks of the catalogue that somebody listened to in the train part. Knows nothing
about who learns from it.
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
    """Row u of `counts_UI` is user u of the data, column i the track `tracks_I[i]`; the most listened to is first.

    `column_V` is the column of each track, -1 where it has none.
    """

    counts_UI: csr_array
    tracks_I: Ints
    column_V: Ints

    @classmethod
    def from_data(cls, data: TrainingData) -> ListenMatrix:
        """From the listens (30 s and more) of the train part."""
        plays = data.plays
        kept = plays.is_listened_P & (plays.part_P == PARTS.index("train")) & data.catalog_V[plays.track_P]
        listens_V = np.bincount(plays.track_P[kept], minlength=len(data.vocabulary))
        tracks_I = np.argsort(-listens_V, kind="stable")[: np.count_nonzero(listens_V)]
        column_V = np.full(len(data.vocabulary), -1, dtype=np.int64)
        column_V[tracks_I] = np.arange(len(tracks_I))
        places = plays.user_P[kept], column_V[plays.track_P[kept]]
        ones = np.ones(len(places[0]), dtype=np.float32)
        counts_UI = csr_array((ones, places), shape=(len(data.user_ids_U), len(tracks_I)))
        counts_UI.sum_duplicates()
        return cls(counts_UI, tracks_I, column_V)

    @property
    def user_count_I(self) -> Ints:
        """How many users listened to each track."""
        return np.bincount(self.counts_UI.indices, minlength=len(self.tracks_I))

    def raise_counts(self, power: float) -> csr_array:
        """`counts_UI ** power`: 0 says only whether somebody listened, 1 how often."""
        raised = self.counts_UI.copy()
        raised.data **= power
        return raised


def raise_counts(counts: NDArray[np.number], power: float) -> NDArray[np.float32]:
    """`counts ** power`, and 0 where there was no listen."""
    return np.where(counts > 0, np.asarray(counts, dtype=np.float32) ** np.float32(power), np.float32(0))
