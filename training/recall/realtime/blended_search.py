"""Nearest items by vectors and likeliest ones by linear transitions, in one list.

Both scores are taken in standard deviations from their mean over a request's items, and transitions count `weight`
times. Every item is looked at. Legend: B requests, N items, K results, X excluded items, D width. Knows nothing about
how either was learned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from training.index.cold_start import ColdStartIndex
from training.index.exact import ExactIndex
from training.recall.realtime.transitions import Array, Histories, Transitions

TRANSITION_WEIGHT_GRID = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 20.0)
"""What is tried on validation."""
DEFAULT_TRANSITION_WEIGHT = 0.5
"""The weight where no validation case chooses one."""


@dataclass(frozen=True)
class BlendedSearch:
    """`index` has to be exact."""

    index: ColdStartIndex
    transitions: Transitions
    weight: float

    def search_best(
        self,
        query_BD: torch.Tensor,
        histories: Histories,
        k: int,
        exclude_BX: np.ndarray,
        cold_item_threshold_B: np.ndarray,
    ) -> tuple[Array, Array]:
        """As `GuardedIndex.search_best` with one query a row; `histories`: what each row's user listened to. A cold item
        has to pass `least_B` by its vector alone.

        Raises:
            TypeError: the index is approximate.
        """
        warm, cold = self.index.warm, self.index.cold
        if not isinstance(warm, ExactIndex):
            raise TypeError(
                f"transitions need scores of every item, and {type(warm).__name__} has not; set probes=None"
            )
        near_BN = warm.scores(query_BD)
        mean_B1, spread_B1 = _mean_and_deviation(near_BN)
        item_N, near_BN = warm.items.item_N, _standardize(near_BN, mean_B1, spread_B1)
        if len(cold.items) and (cold_item_threshold_B < np.inf).any():
            far_BN = cold.scores(query_BD)
            far_BN = np.where(
                far_BN >= cold_item_threshold_B[:, None], _standardize(far_BN, mean_B1, spread_B1), -np.inf
            )
            item_N, near_BN = np.concatenate([item_N, cold.items.item_N]), np.concatenate([near_BN, far_BN], axis=1)
        likely_BN = self.transitions.scores(histories, item_N)
        score_BN = near_BN + np.float32(self.weight) * _standardize(likely_BN, *_mean_and_deviation(likely_BN))
        return top_k_items(score_BN, item_N, k, exclude_BX)


def _mean_and_deviation(score_BN: Array) -> tuple[Array, Array]:
    if not score_BN.shape[1]:
        return np.zeros((len(score_BN), 1), np.float32), np.ones((len(score_BN), 1), np.float32)
    return score_BN.mean(1, keepdims=True), score_BN.std(1, keepdims=True)


def _standardize(score_BN: Array, mean_B1: Array, spread_B1: Array) -> Array:
    # All scores equal: nothing speaks for one item more than for another.
    found: Array = np.where(spread_B1 > 0, (score_BN - mean_B1) / np.where(spread_B1 > 0, spread_B1, 1), 0)
    return found.astype(np.float32)


def top_k_items(score_BN: Array, item_N: Array, k: int, exclude_BX: np.ndarray) -> tuple[Array, Array]:
    """The `k` best items of each row and their scores, best first, ties by smaller item; 0 and -inf beyond the last that
    is more than -inf. `exclude_BX`: items that a row must not get; `score_BN` is overwritten.
    """
    items_BK = np.zeros((len(score_BN), k), dtype=np.int64)
    scores_BK = np.full((len(score_BN), k), -np.inf, dtype=np.float32)
    place_V = np.full(max(item_N.max(initial=0), exclude_BX.max(initial=0)) + 1, -1)
    place_V[item_N] = np.arange(len(item_N))
    place_BX = place_V[exclude_BX]
    rows, columns = np.nonzero(place_BX >= 0)
    score_BN[rows, place_BX[rows, columns]] = -np.inf
    for row, score_N in enumerate(score_BN):
        bound = np.partition(score_N, len(score_N) - k)[len(score_N) - k] if k < len(score_N) else -np.inf
        place = np.flatnonzero((score_N >= bound) & (score_N > -np.inf))
        place = place[np.lexsort((item_N[place], -score_N[place]))[:k]]
        items_BK[row, : len(place)], scores_BK[row, : len(place)] = item_N[place], score_N[place]
    return items_BK, scores_BK
