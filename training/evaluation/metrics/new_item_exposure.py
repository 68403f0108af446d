"""Exposure of new items: fraction of recommended tracks without plays in the train part, and by artists without plays.

Legend: V vocabulary, A artists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sequences.batch import FIRST_CODE
from training.data.plays import PARTS
from training.data.training_data import TrainingData


@dataclass(frozen=True)
class NewItemExposure:
    """Items without plays in the train part."""

    is_new_V: NDArray[np.bool_]
    is_by_new_artist_V: NDArray[np.bool_]  # False for an unknown artist

    @classmethod
    def from_data(cls, data: TrainingData) -> Self:
        """From the plays of the train part."""
        artist_V = data.vocabulary.artist_of_track_V
        played = data.plays.track_P[data.plays.part_P == PARTS.index("train")]
        is_new_V = np.ones(len(data.vocabulary), dtype=bool)
        is_new_V[:FIRST_CODE] = is_new_V[played] = False
        is_played_A = np.zeros(data.vocabulary.artist_count, dtype=bool)
        is_played_A[artist_V[played]] = True
        return cls(is_new_V, is_new_V & (artist_V >= FIRST_CODE) & ~is_played_A[artist_V])

    def shares(self, items: NDArray[np.int64]) -> dict[str, float]:
        """Fractions `new_tracks` and `by_new_artists` of all items except padding (0); 0 without items."""
        shown = items[items > 0]
        count = max(len(shown), 1)
        return {
            "new_tracks": float(self.is_new_V[shown].sum() / count),
            "by_new_artists": float(self.is_by_new_artist_V[shown].sum() / count),
        }
