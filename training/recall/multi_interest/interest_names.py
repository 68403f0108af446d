"""Display names of interests, e.g. "Cantonese · britpop · electronic".

Legend: V vocabulary, F facet values, N tracks.
"""

from __future__ import annotations

import numpy as np

from sequences.batch import FIRST_CODE
from training.data.training_data import FACETS, TrainingData
from training.data.vocabulary import Vocabulary

MAX_WORDS = 3
MIN_SHARE = 0.3
"""A facet value is used in a name only if at least this fraction of the tracks has it."""


class InterestNames:
    """Names of track sets by facet values.

    Args:
        value_F: Values of all facets.
        facet_VF: Facet values of each track as positions in `value_F` plus 1; 0 = none.
        vocabulary: Names of artists and tracks.
    """

    def __init__(self, value_F: list[str], facet_VF: np.ndarray, vocabulary: Vocabulary) -> None:
        self.value_F, self.facet_VF, self.vocabulary = value_F, facet_VF, vocabulary
        self._catalog_share_F = self._shares(np.arange(FIRST_CODE, len(facet_VF)))

    @classmethod
    def of(cls, data: TrainingData, facet_VF: np.ndarray) -> InterestNames:
        """The names for the item codes that `ItemCodes.of` builds from the same data."""
        return cls([value for facet in FACETS for value in data.facets[facet][0]], facet_VF, data.vocabulary)

    def name(self, item_N: np.ndarray) -> str:
        """The name in English, e.g. "Cantonese · britpop"."""
        return " · ".join(self.name_parts(item_N))

    def name_parts(self, item_N: np.ndarray) -> tuple[str, ...]:
        """Facet values that are more frequent here than in the catalog, language first; without facets, the most
        frequent artists.
        """
        share_F = self._shares(item_N)
        score_F = np.where(share_F >= MIN_SHARE, share_F * np.log(np.maximum(share_F / self._catalog_share_F, 1e-9)), 0)
        best = np.argsort(-score_F, kind="stable")[:MAX_WORDS]
        words = [self.value_F[value] for value in np.sort(best) if score_F[value] > 0]
        return tuple(words or self._artists(item_N))

    def _shares(self, item_N: np.ndarray) -> np.ndarray:
        """Fraction of the tracks with any facet that has each value [F]; slightly above 0 for a value that none has."""
        facet_NF = self.facet_VF[item_N]
        count_F = np.bincount(facet_NF[facet_NF > 0], minlength=len(self.value_F) + 1)[1:]
        share_F: np.ndarray = (count_F + 1e-9) / max(int((facet_NF > 0).any(1).sum()), 1)
        return share_F

    def _artists(self, item_N: np.ndarray) -> list[str]:
        artist_N = self.vocabulary.artist_of_track_V[item_N]
        artist, count = np.unique(artist_N[artist_N >= FIRST_CODE], return_counts=True)
        best = artist[np.argsort(-count, kind="stable")[:MAX_WORDS]]
        names = [str(self.vocabulary.artist_names_A[one]) for one in best]
        return [name for name in names if name] or [self.vocabulary.describe(int(item_N[-1]))]
