"""Matrix of the listens in the train part, to fit baselines. A listen lasts at least 30 s.

Legend: U users, V vocabulary, I tracks of the catalog with a listen in the train part.
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


def raise_counts(counts: NDArray[np.number], power: float) -> NDArray[np.float32]:
    """`counts ** power`, element-wise; zero counts stay 0."""
    return np.where(counts > 0, np.asarray(counts, dtype=np.float32) ** np.float32(power), np.float32(0))
