"""Nearly the best items without looking at all: vectors lie in lists around centroids, and a query reads the lists
whose centroids are nearest.

An inverted file (Jégou, Douze, Schmid, "Product Quantization for Nearest Neighbor Search", 2011) as faiss has it: reading
is what a search takes its time for. Few vectors are read in half precision; of many only codes are, an eighth of the bytes
(products of pairs of numbers, looked up in registers: André, Kermarrec, Le Scouarnec, "Cache locality is not enough", VLDB
2015), and what they find best is scored again. Why not a graph (HNSW): docs/adr/0021-search-exactly-up-to-200000-vectors.md. Legend: N
indexed items, G groups of equal ones, B rows of Q queries, K results, D width. Knows nothing about what the vectors mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import faiss
import numpy as np
import torch

from training.data.unique_keys import unique_inverse, unique_values
from training.index.exact import ExactIndex, Index, kth_best_score

KMEANS_ITERATIONS = 10
TRAINING_POINTS_PER_CENTROID = 64
"""Centroids are learned in so many rounds from so many vectors each; more of either finds nothing more."""
UNIT_NORM_TOLERANCE = 1e-3
MIN_SCANNED_FOR_PQ = 50_000
"""Where a query reads more vectors than that it reads codes."""
DIMENSIONS_PER_PQ_CODE, PQ_BITS = 2, 4
RERANK_FACTOR = 12
"""Of so many times what is wanted, best by their codes, the scores are taken again."""


@dataclass(frozen=True)
class IVFIndex(Index):
    """Reads `probes` lists a query, and more where those have too few items left for a row. The same vectors and seed
    give the same index; vectors are of length 1 (or 0).
    """

    faiss_index: Any
    """faiss's inverted file of the groups' vectors or codes, by group number."""
    probes: int
    float16_GD: torch.Tensor | None = None
    """Where lists hold codes: the vectors."""

    @classmethod
    def of(cls, exact: ExactIndex, probes: int, seed: int) -> IVFIndex:
        """The same items and vectors, in as many lists as the root of the number of groups.

        Raises:
            ValueError: a vector's length is not 1.
        """
        vector_GD = _check_unit_norm(exact.vector_GD)
        count, D = vector_GD.shape
        centroids = faiss.IndexFlatIP(D)
        learned = faiss.IndexIVFFlat(centroids, D, list_count(count), faiss.METRIC_INNER_PRODUCT)
        learned.cp.niter, learned.cp.seed, learned.cp.spherical = KMEANS_ITERATIONS, seed, True
        learned.cp.min_points_per_centroid, learned.cp.max_points_per_centroid = 1, TRAINING_POINTS_PER_CENTROID
        learned.train(vector_GD)
        return cls._from_centroids(exact, vector_GD, centroids, probes, seed)

    def with_probes(self, exact: ExactIndex, probes: int, seed: int) -> IVFIndex:
        """What `of` gives for other probes."""
        if _uses_pq(exact.vector_GD, probes) == (self.float16_GD is not None):
            return replace(self, probes=probes)
        # A copy, since what lists are made of has to outlive them.
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

    def with_items(self, items: np.ndarray, vector_ND: torch.Tensor) -> IVFIndex:
        """See `Index`; the centroids and what codes mean stay as they are."""
        vector_ND = vector_ND.detach()
        more, first = self.items.with_items(items, vector_ND.numpy())
        lists, vector_GD = faiss.clone_index(self.faiss_index), _check_unit_norm(vector_ND.numpy()[first])
        lists.add(vector_GD)
        half_GD = None if self.float16_GD is None else torch.cat([self.float16_GD, torch.from_numpy(vector_GD).half()])
        return IVFIndex(more, lists, self.probes, half_GD)

    def _best_groups(
        self, query_BQD: np.ndarray, k: int, excluded: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for query_QD, groups in zip(query_BQD, excluded, strict=True):
            yield self._best_groups_of_row(np.ascontiguousarray(query_QD), k, groups)

    def _best_groups_of_row(self, query_QD: np.ndarray, k: int, left_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wanted = min(k, len(self.items) - len(left_out))
        if wanted <= 0:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        # Held by a name as long as the search runs: faiss does not keep it alive.
        selector = faiss.IDSelectorNot(faiss.IDSelectorBatch(left_out)) if len(left_out) else None
        probes = min(self.probes, self.faiss_index.nlist)
        while True:
            group, score = self._search_lists(query_QD, wanted, _search_parameters(nprobe=probes, sel=selector))
            if len(group) >= wanted or probes == self.faiss_index.nlist:
                return group, score
            probes = min(4 * probes, self.faiss_index.nlist)

    def _search_lists(self, query_QD: np.ndarray, wanted: int, parameters: Any) -> tuple[np.ndarray, np.ndarray]:
        # One row at a time, or faiss might round otherwise for other company.
        if self.float16_GD is None:
            score_QK, group_QK = self.faiss_index.search(query_QD, wanted, params=parameters)
            return _best_by_group(group_QK[group_QK >= 0], score_QK[group_QK >= 0])
        _, group_QK = self.faiss_index.search(
            query_QD, min(RERANK_FACTOR * wanted, len(self.float16_GD)), params=parameters
        )
        group = unique_values(group_QK[group_QK >= 0])
        vector_FD = self.float16_GD.index_select(0, torch.from_numpy(group)).float()
        score = (vector_FD @ torch.from_numpy(query_QD).T).amax(1).numpy()
        is_best = score >= kth_best_score(score, wanted)
        return group[is_best], score[is_best]


_search_parameters: Any = faiss.SearchParametersIVF
"""Whatever faiss's stubs say, it takes its attributes by name."""


def _uses_pq(vector_GD: np.ndarray, probes: int) -> bool:
    """Whether so many lists hold more vectors than are read whole."""
    return len(vector_GD) * probes > MIN_SCANNED_FOR_PQ * list_count(len(vector_GD))


def list_count(vectors: int) -> int:
    """How many lists hold so many vectors."""
    return max(math.isqrt(vectors), 1)


def _best_by_group(group_F: np.ndarray, score_F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct groups, ascending, each with the best of its scores."""
    group_G, number_F = unique_inverse(group_F)
    score_G = np.full(len(group_G), -np.inf, dtype=np.float32)
    np.maximum.at(score_G, number_F, score_F)
    return group_G, score_G


def _check_unit_norm(vector_ND: np.ndarray) -> np.ndarray:
    length_N = np.linalg.norm(vector_ND, axis=1)
    wrong = np.flatnonzero((np.abs(length_N - 1) > UNIT_NORM_TOLERANCE) & (length_N > 0))
    if len(wrong):
        raise ValueError(
            f"a vector has length {length_N[wrong[0]]:.3g}, and an approximate index compares directions; normalise it "
            "(similarity='cosine'), or search exactly (exact_up_to=None)"
        )
    return vector_ND
