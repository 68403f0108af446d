"""Search by the sum of network scores and transition scores.

Both scores are standardized over the items of a request, and the transition scores are multiplied by a weight. Every
item is scored, so the index has to be exact.

Legend: B requests, N items, K results, X excluded items, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.index.exact import ColdStartIndex, ExactIndex
from training.recall.flat_histories import Array, Histories
from training.recall.realtime.transitions import Transitions

TRANSITION_WEIGHT_GRID = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 20.0)
"""Weights tried on validation."""
DEFAULT_TRANSITION_WEIGHT = 0.5
"""The weight if there are no validation cases."""


@dataclass(frozen=True)
class BlendedSearch:
    """Search over an exact index and a transition model, for requests with these listens."""

    index: ColdStartIndex
    transitions: Transitions
    weight: float
    histories: Histories

    def search_best(
        self, query_BQD: np.ndarray, k: int, exclude_BX: np.ndarray | None, cold_item_threshold: float
    ) -> tuple[Array, Array]:
        """Items and scores as `ColdStartIndex.search_best`, with one query per row; the threshold is of network scores.

        Raises:
            TypeError: The index is approximate.
        """
        query_BD = query_BQD[:, 0]
        exclude_BX = np.zeros((len(query_BD), 0), dtype=np.int64) if exclude_BX is None else exclude_BX
        warm, cold = self.index.warm, self.index.cold
        if not isinstance(warm, ExactIndex):
            raise TypeError(
                f"transitions need a score for every item, which {type(warm).__name__} does not provide; "
                "set index.probes=None"
            )
        network_BN = warm.scores(query_BD)
        mean_B1, deviation_B1 = _mean_and_deviation(network_BN)
        item_N, network_BN = warm.items.item_N, _standardize(network_BN, mean_B1, deviation_B1)
        if len(cold.items) and cold_item_threshold < np.inf:
            cold_BN = cold.scores(query_BD)
            cold_BN = np.where(cold_BN >= cold_item_threshold, _standardize(cold_BN, mean_B1, deviation_B1), -np.inf)
            item_N = np.concatenate([item_N, cold.items.item_N])
            network_BN = np.concatenate([network_BN, cold_BN], axis=1)
        transition_BN = self.transitions.scores(self.histories, item_N)
        transition_BN = _standardize(transition_BN, *_mean_and_deviation(transition_BN))
        return top_k_items(network_BN + np.float32(self.weight) * transition_BN, item_N, k, exclude_BX)


def _mean_and_deviation(score_BN: Array) -> tuple[Array, Array]:
    if not score_BN.shape[1]:
        return np.zeros((len(score_BN), 1), np.float32), np.ones((len(score_BN), 1), np.float32)
    return score_BN.mean(1, keepdims=True), score_BN.std(1, keepdims=True)


def _standardize(score_BN: Array, mean_B1: Array, deviation_B1: Array) -> Array:
    # If all scores of a row are equal they carry no information; they become 0.
    is_varied_B1 = deviation_B1 > 0
    standardized: Array = np.where(is_varied_B1, (score_BN - mean_B1) / np.where(is_varied_B1, deviation_B1, 1), 0)
    return standardized.astype(np.float32)


def top_k_items(score_BN: Array, item_N: Array, k: int, exclude_BX: np.ndarray) -> tuple[Array, Array]:
    """The `k` best items of each row and their scores, best first, ties by smaller item code.

    Args:
        score_BN: Scores; -inf is never returned. Overwritten.
        item_N: Item codes of the columns.
        k: Number of results.
        exclude_BX: Items that are not returned.

    Returns:
        Items [B, K], padded with 0, and scores [B, K], padded with -inf.
    """
    items_BK = np.zeros((len(score_BN), k), dtype=np.int64)
    scores_BK = np.full((len(score_BN), k), -np.inf, dtype=np.float32)
    column_V = np.full(max(item_N.max(initial=0), exclude_BX.max(initial=0)) + 1, -1)
    column_V[item_N] = np.arange(len(item_N))
    column_BX = column_V[exclude_BX]
    rows, columns = np.nonzero(column_BX >= 0)
    score_BN[rows, column_BX[rows, columns]] = -np.inf
    for row, score_N in enumerate(score_BN):
        bound = np.partition(score_N, len(score_N) - k)[len(score_N) - k] if k < len(score_N) else -np.inf
        best = np.flatnonzero((score_N >= bound) & (score_N > -np.inf))
        best = best[np.lexsort((item_N[best], -score_N[best]))[:k]]
        items_BK[row, : len(best)], scores_BK[row, : len(best)] = item_N[best], score_N[best]
    return items_BK, scores_BK
