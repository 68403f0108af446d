"""Which index a channel gets: exact up to a number of vectors, beyond it an approximate one that is held against the exact
one's answers.

Legend: B rows of Q queries, K results, D width, X excluded items. Knows nothing about channels.
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
MIN_RECALL, TARGET_RECALL = 0.97, 0.98
"""What an approximate index has to find of the exact one's first K, and what it is tuned to on queries of its own."""
INITIAL_PROBES = 4
MAX_PROBED_FRACTION = 0.5
"""Whoever has to read a larger share of the lists for it may as well search exactly."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordedSearch:
    """What an index was asked and what it found, [B, K]."""

    query_BQD: torch.Tensor
    exclude_BX: np.ndarray | None
    result_BK: np.ndarray


@dataclass(frozen=True)
class RecordingIndex(ExactIndex):
    """An exact index that remembers its searches."""

    searches: list[RecordedSearch] = field(default_factory=list)

    @classmethod
    def wrap(cls, index: ExactIndex) -> RecordingIndex:
        """One that answers as `index` does."""
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
    """The index for the vectors of `exact`, and what is known of it: `kind`, `vectors`, `recall_at_200`, and of an
    approximate one `lists`, `probes` and the `seconds` that it took to make.

    `exact_up_to`: so many distinct vectors are searched exactly (None: any number). Beyond, the fewest probes are taken
    that find AIM of what the `searches` found. Exact after all if nobody searches, or if LEAST_RECALL is out of reach.
    """
    known = {"kind": "exact", "vectors": len(exact.items), "recall_at_200": 1.0}
    if exact_up_to is None or len(exact.items) <= exact_up_to or not searches:
        return exact, known
    began = time.monotonic()
    index = IVFIndex.of(exact, INITIAL_PROBES, seed)
    seconds = round(time.monotonic() - began, 1)
    most = max(int(MAX_PROBED_FRACTION * index.faiss_index.nlist), 1)
    while (share := recall_against_exact(index, searches)) < TARGET_RECALL and index.probes < most:
        index = index.with_probes(exact, min(index.probes + (index.probes + 1) // 2, most), seed)
    if share < MIN_RECALL:
        logger.warning(
            "an approximate index finds %.3f of the exact one's first %d in half of its lists, less than %.2f: every search "
            "over %d vectors stays exact",
            *(share, RECALL_CUTOFF, MIN_RECALL, len(exact.items)),
        )
        return exact, known
    lists = {"kind": "approximate", "lists": index.faiss_index.nlist, "probes": index.probes, "seconds": seconds}
    return index, known | lists | {"recall_at_200": round(share, 4)}


def recall_against_exact(index: Index, searches: Sequence[RecordedSearch]) -> float:
    """Which share of what the searches found `index` finds too, averaged over their rows; 1 if they found nothing."""
    shares: list[float] = []
    for search in searches:
        found_BK, _ = index.search_best(search.query_BQD, search.result_BK.shape[1], search.exclude_BX)
        for found, right in zip(found_BK, search.result_BK, strict=True):
            if right.any():
                shares.append(float(np.isin(right[right > 0], found).mean()))
    return float(np.mean(shares)) if shares else 1.0
