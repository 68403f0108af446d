"""Index selection: exact up to a number of vectors, else an approximate index tuned to the recall of the exact one.

Legend: B rows of Q queries, K results, D width, X excluded items.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from training.index.exact import ExactIndex, Index
from training.index.ivf import IVFIndex

RECALL_CUTOFF = 200
MIN_RECALL, TARGET_RECALL = 0.97, 0.98  # recall of the exact top K: required, and aimed at when tuning
INITIAL_PROBES = 4
MAX_PROBED_FRACTION = 0.5  # reading a larger share of the lists saves no time over exact search

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordedSearch:
    """Queries of a search and its result."""

    query_BQD: torch.Tensor
    exclude_BX: np.ndarray | None
    result_BK: np.ndarray


@dataclass(frozen=True)
class RecordingIndex(ExactIndex):
    """An exact index that records its searches."""

    searches: list[RecordedSearch] = field(default_factory=list)

    @classmethod
    def wrap(cls, index: ExactIndex) -> RecordingIndex:
        """A recording index with the contents of `index`."""
        return cls(index.items, index.vector_GD)

    def search_best(
        self, query_BQD: torch.Tensor, k: int, exclude_BX: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Index`."""
        items, values = super().search_best(query_BQD, k, exclude_BX)
        self.searches.append(RecordedSearch(query_BQD, exclude_BX, items))
        return items, values


def choose_index(
    exact: ExactIndex, exact_up_to: int | None, searches: Sequence[RecordedSearch], seed: int
) -> tuple[Index, dict[str, Any]]:
    """Choose the index for the vectors of `exact`.

    An approximate index gets the fewest probes that reach TARGET_RECALL on the recorded searches. The index stays exact
    if there are no searches or if MIN_RECALL cannot be reached.

    Args:
        exact: Index with all vectors.
        exact_up_to: Largest number of distinct vectors to search exactly; None: no limit.
        searches: Recorded searches to tune on.
        seed: Seed of the centroids.

    Returns:
        The index and its description: `kind`, `vectors`, `recall_at_200`, and for an approximate index `lists`,
        `probes` and the `seconds` that building it took.
    """
    description = {"kind": "exact", "vectors": len(exact.items), "recall_at_200": 1.0}
    if exact_up_to is None or len(exact.items) <= exact_up_to or not searches:
        return exact, description
    began = time.monotonic()
    index = IVFIndex.of(exact, INITIAL_PROBES, seed)
    seconds = round(time.monotonic() - began, 1)
    max_probes = max(int(MAX_PROBED_FRACTION * index.faiss_index.nlist), 1)
    while (recall := recall_against_exact(index, searches)) < TARGET_RECALL and index.probes < max_probes:
        index = index.with_probes(exact, min(index.probes + (index.probes + 1) // 2, max_probes), seed)
    if recall < MIN_RECALL:
        logger.warning(
            "approximate index has recall %.3f of the exact top %d when probing half of its lists, below %.2f; "
            "searches over %d vectors stay exact",
            *(recall, RECALL_CUTOFF, MIN_RECALL, len(exact.items)),
        )
        return exact, description
    lists = {"kind": "approximate", "lists": index.faiss_index.nlist, "probes": index.probes, "seconds": seconds}
    return index, description | lists | {"recall_at_200": round(recall, 4)}


def recall_against_exact(index: Index, searches: Sequence[RecordedSearch]) -> float:
    """Recall of `index` against the recorded results, averaged over rows with results; 1 if there are none."""
    recalls: list[float] = []
    for search in searches:
        result_BK, _ = index.search_best(search.query_BQD, search.result_BK.shape[1], search.exclude_BX)
        for result, expected in zip(result_BK, search.result_BK, strict=True):
            if expected.any():
                recalls.append(float(np.isin(expected[expected > 0], result).mean()))
    return float(np.mean(recalls)) if recalls else 1.0
