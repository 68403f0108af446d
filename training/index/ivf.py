"""Approximate nearest-neighbor search by inner product: an inverted file (IVF) that reads the lists with the nearest centroids.

Jégou, Douze, Schmid, "Product Quantization for Nearest Neighbor Search" (2011), as implemented in faiss. Reading
vectors takes most of the time of a search. Few vectors are read in half precision. Of many, only product-quantization
codes are read, an eighth of the bytes (André, Kermarrec, Le Scouarnec, "Cache locality is not enough", VLDB 2015), and
the best are scored again. For the choice over a graph (HNSW), see docs/adr/0021-search-exactly-up-to-200000-vectors.md.

Legend: N indexed items, G groups of equal vectors, B rows of Q queries, K results, F vectors found, D width.

Index selection: exact up to a number of vectors, else an approximate index tuned to the recall of the exact one.

Legend: B rows of Q queries, K results, D width, X excluded items.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import faiss
import numpy as np
import torch

from training.data.unique_keys import unique_inverse, unique_values
from training.index.exact import ExactIndex, Index, exclude_items, fill_best

KMEANS_ITERATIONS = 10
TRAINING_POINTS_PER_CENTROID = 64
"""Training vectors per centroid; more of them, or more iterations, did not improve recall."""
UNIT_NORM_TOLERANCE = 1e-3
MIN_SCANNED_FOR_PQ = 50_000  # a query that reads more vectors reads product-quantization codes instead
DIMENSIONS_PER_PQ_CODE, PQ_BITS = 2, 4
RERANK_FACTOR = 12
"""The approximate search keeps this multiple of `k`, and exact scores rank them again."""


RECALL_CUTOFF = 200
MIN_RECALL, TARGET_RECALL = 0.97, 0.98  # recall of the exact top K: required, and aimed at when tuning
INITIAL_PROBES = 4
MAX_PROBED_FRACTION = 0.5  # reading a larger share of the lists saves no time over exact search

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class IVFIndex(Index):
    """Index of unit (or zero) vectors that probes the nearest lists; deterministic for the same vectors and seed."""

    faiss_index: Any  # inverted file of vectors or codes, by group
    probes: int  # lists read per query; more if they have too few items that are not excluded
    float16_GD: torch.Tensor | None = None  # the vectors, if the lists have codes

    @classmethod
    def of(cls, exact: ExactIndex, probes: int, seed: int) -> IVFIndex:
        """Index of the items and vectors of `exact`, with as many lists as the square root of the number of groups.

        Raises:
            ValueError: a vector does not have unit length.
        """
        vector_GD = _check_unit_norm(exact.vector_GD)
        count, D = vector_GD.shape
        centroids = faiss.IndexFlatIP(D)
        trained = faiss.IndexIVFFlat(centroids, D, list_count(count), faiss.METRIC_INNER_PRODUCT)
        trained.cp.niter, trained.cp.seed, trained.cp.spherical = KMEANS_ITERATIONS, seed, True
        trained.cp.min_points_per_centroid, trained.cp.max_points_per_centroid = 1, TRAINING_POINTS_PER_CENTROID
        trained.train(vector_GD)
        return cls._from_centroids(exact, vector_GD, centroids, probes, seed)

    def with_probes(self, exact: ExactIndex, probes: int, seed: int) -> IVFIndex:
        """The index with another number of probes."""
        if _uses_pq(exact.vector_GD, probes) == (self.float16_GD is not None):
            return replace(self, probes=probes)
        # A copy, since the quantizer must outlive the index that uses it.
        return self._from_centroids(exact, exact.vector_GD, faiss.clone_index(self.faiss_index.quantizer), probes, seed)

    @classmethod
    def _from_centroids(
        cls, exact: ExactIndex, vector_GD: np.ndarray, centroids: Any, probes: int, seed: int
    ) -> IVFIndex:
        (count, D), inner = vector_GD.shape, faiss.METRIC_INNER_PRODUCT
        lists: Any
        half_GD = None
        if _uses_pq(vector_GD, probes):
            lists = faiss.IndexIVFPQFastScan(
                centroids, D, list_count(count), D // DIMENSIONS_PER_PQ_CODE, PQ_BITS, inner
            )
            lists.pq.cp.niter, lists.pq.cp.seed = KMEANS_ITERATIONS, seed
            half_GD = torch.from_numpy(vector_GD).half()
        else:
            lists = faiss.IndexIVFScalarQuantizer(centroids, D, list_count(count), faiss.ScalarQuantizer.QT_fp16, inner)
        lists.by_residual = half_GD is not None
        lists.train(vector_GD)
        lists.add(vector_GD)
        return cls(exact.items, lists, probes, half_GD)

    def _search(
        self, query_BQD: np.ndarray, exclude_BX: np.ndarray, items_BK: np.ndarray, scores_BK: np.ndarray
    ) -> None:
        for query_QD, exclude_X, items_K, scores_K in zip(query_BQD, exclude_BX, items_BK, scores_BK, strict=True):
            is_excluded_N, excluded = exclude_items(exclude_X, self.items.tables)
            found = self._best_groups(np.ascontiguousarray(query_QD), len(items_K), excluded)
            fill_best(*found, is_excluded_N, self.items.tables, items_K, scores_K)

    def _best_groups(self, query_QD: np.ndarray, k: int, excluded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wanted = min(k, len(self.items) - len(excluded))
        if wanted <= 0:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        # Referenced by a variable during the search, since faiss does not keep it alive.
        selector = faiss.IDSelectorNot(faiss.IDSelectorBatch(excluded)) if len(excluded) else None
        probes = min(self.probes, self.faiss_index.nlist)
        while True:
            group, score = self._search_lists(query_QD, wanted, _search_parameters(nprobe=probes, sel=selector))
            if len(group) >= wanted or probes == self.faiss_index.nlist:
                return group, score
            probes = min(4 * probes, self.faiss_index.nlist)

    def _search_lists(self, query_QD: np.ndarray, wanted: int, parameters: Any) -> tuple[np.ndarray, np.ndarray]:
        # One row at a time: in a larger batch faiss may round differently.
        if self.float16_GD is None:
            score_QK, group_QK = self.faiss_index.search(query_QD, wanted, params=parameters)
            return _best_by_group(group_QK[group_QK >= 0], score_QK[group_QK >= 0])
        _, group_QK = self.faiss_index.search(
            query_QD, min(RERANK_FACTOR * wanted, len(self.float16_GD)), params=parameters
        )
        group = unique_values(group_QK[group_QK >= 0])
        vector_FD = self.float16_GD.index_select(0, torch.from_numpy(group)).float()
        return group, (vector_FD @ torch.from_numpy(query_QD).T).amax(1).numpy()


_search_parameters: Any = faiss.SearchParametersIVF
"""faiss accepts attributes as keyword arguments, which its type stubs lack."""


def _uses_pq(vector_GD: np.ndarray, probes: int) -> bool:
    """Whether a query reads more than MIN_SCANNED_FOR_PQ vectors."""
    return len(vector_GD) * probes > MIN_SCANNED_FOR_PQ * list_count(len(vector_GD))


def list_count(vectors: int) -> int:
    """Number of lists for a number of vectors."""
    return max(math.isqrt(vectors), 1)


def _best_by_group(group_F: np.ndarray, score_F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct groups, ascending, each with its best score."""
    group_G, index_F = unique_inverse(group_F)
    score_G = np.full(len(group_G), -np.inf, dtype=np.float32)
    np.maximum.at(score_G, index_F, score_F)
    return group_G, score_G


def _check_unit_norm(vector_ND: np.ndarray) -> np.ndarray:
    length_N = np.linalg.norm(vector_ND, axis=1)
    wrong = np.flatnonzero((np.abs(length_N - 1) > UNIT_NORM_TOLERANCE) & (length_N > 0))
    if len(wrong):
        raise ValueError(
            f"a vector has norm {length_N[wrong[0]]:.3g}, but the approximate index needs unit vectors; normalize it "
            "(similarity='cosine'), or search exactly (exact_up_to=None)"
        )
    return vector_ND


@dataclass(frozen=True)
class RecordedSearch:
    """Queries of a search and its result."""

    query_BQD: np.ndarray
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
        self, query_BQD: np.ndarray, k: int, exclude_BX: np.ndarray | None = None
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
