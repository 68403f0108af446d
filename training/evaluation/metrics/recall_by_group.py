"""Recall by group: by number of earlier plays of the user, and by subset of the targets.

Legend: C cases, K candidates, V vocabulary, A artists.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from recommender.catalog.arrays import Ragged, concatenate_ranges
from sequences.sequence_batch import FIRST_CODE
from training.data.plays import PARTS
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.evaluation.metrics import recall_metrics

HISTORY_EDGES = (0, 100, 1_000, 5_000, 20_000)  # plays before the session

Ints = NDArray[np.int64]

VALUES_PER_FACET = 6  # most frequent values
PLAY_BOUNDS = ((0, 0), (1, 5), (6, 20), (21, None))
Facets = Mapping[str, tuple[list[str], Ragged]]
Subsets = Mapping[str, NDArray[np.bool_]]
"""Name of a subset to the tracks in it, bool [V]."""


def recall_by_history(values_C: NDArray[np.float64], cases: RecallCases) -> dict[str, list[float]]:
    """Mean over users by number of plays before the case: `{"0-99": [value, low, high]}`."""
    result = {}
    for low, high in zip(HISTORY_EDGES, [*HISTORY_EDGES[1:], None], strict=True):
        rows = np.flatnonzero((cases.play_number_C >= low) & (cases.play_number_C < (high or np.inf)))
        if len(rows):
            name = f"{low}-{high - 1}" if high else f"{low}+"
            result[name] = recall_metrics.mean_over_users(values_C[rows], cases.user_C[rows]).interval()
    return result


class SubsetRecall:
    """Recall at `k` of the targets in each subset; subsets without a target are omitted."""

    def __init__(self, cases: RecallCases, subsets: Subsets, k: int) -> None:
        self._cases, self._k = cases, k
        targets = cases.items["targets"]
        target_C = {
            name: np.bincount(targets.case_per_item, weights=is_in_V[targets.items], minlength=len(cases))
            for name, is_in_V in subsets.items()
        }
        self._target_C = {name: count_C for name, count_C in target_C.items() if count_C.any()}
        self._subsets = subsets

    def count_targets(self) -> dict[str, int]:
        """Number of targets in each subset."""
        return {name: int(count_C.sum()) for name, count_C in self._target_C.items()}

    def measure(self, items_CK: Ints) -> dict[str, list[float]]:
        """Mean recall over users of one list per case: `{"languages: Cantonese": [value, low, high]}`."""
        top_CK = items_CK[:, : self._k]
        hits_CK = self._cases.items["targets"].contains(top_CK)
        found = {}
        for name, target_C in self._target_C.items():
            hits_C = (hits_CK & self._subsets[name][top_CK]).sum(1)
            recall_C = np.divide(hits_C, target_C, out=np.full(len(target_C), np.nan), where=target_C > 0)
            found[name] = recall_metrics.mean_over_users(recall_C, self._cases.user_C).interval()
        return found


def facet_subsets(cases: RecallCases, facets: Facets) -> Subsets:
    """Tracks with each of the VALUES_PER_FACET values per facet that are most frequent among the targets."""
    items, subsets = cases.items["targets"].items, {}
    for facet, (values, codes) in facets.items():
        position_N, _ = concatenate_ranges(codes.offset_C1[items], codes.offset_C1[items + 1])
        counts = np.bincount(codes.items[position_N], minlength=len(values))
        for code in np.argsort(-counts, kind="stable")[:VALUES_PER_FACET].tolist():
            has_V = np.zeros(len(codes.count_C), dtype=bool)
            has_V[codes.case_per_item[codes.items == code]] = True
            subsets[f"{facet}: {values[code]}"] = has_V
    return subsets


def play_subsets(data: TrainingData) -> Subsets:
    """Tracks of the catalog by plays of the track and of its artist in the train part."""
    artist_V = data.vocabulary.artist_of_track_V
    plays_V, plays_A = _count_train_plays(data)
    has_artist_V = data.catalog_V & (artist_V >= FIRST_CODE)
    subsets = {}
    for kind, count_V, is_in_V in (("track", plays_V, data.catalog_V), ("artist", plays_A[artist_V], has_artist_V)):
        for low, high in PLAY_BOUNDS:
            name = f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"
            is_between_V = (count_V >= low) & (count_V <= (np.inf if high is None else high))
            subsets[f"{kind} with {name} plays"] = is_in_V & is_between_V
    return subsets


def rank_by_artist_popularity(data: TrainingData, k: int) -> Ints:
    """The `k` tracks of the catalog whose artists have the most plays in the train part, for each artist the least played
    tracks first [K].

    A baseline for tracks that were never played.
    """
    artist_V = data.vocabulary.artist_of_track_V
    _, plays_A = _count_train_plays(data)
    plays_A[:FIRST_CODE] = 0
    items = np.flatnonzero(data.catalog_V)
    return items[np.lexsort((-items, -plays_A[artist_V[items]]))][:k]


def _count_train_plays(data: TrainingData) -> tuple[Ints, Ints]:
    """Number of plays of each track and of each artist in the train part."""
    track_P = data.plays.track_P[data.plays.part_P == PARTS.index("train")]
    artist_P = data.vocabulary.artist_of_track_V[track_P]
    return (
        np.bincount(track_P, minlength=len(data.vocabulary)),
        np.bincount(artist_P, minlength=data.vocabulary.artist_count),
    )
