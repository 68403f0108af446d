"""Nearly the best items without looking at all: vectors lie in lists around centroids, and a query reads the lists
whose centroids are nearest.

An inverted file of vectors (Jégou, Douze, Schmid, "Product Quantization for Nearest Neighbor Search", 2011, its coarse
half) as faiss has it, in half precision: reading is what a search takes its time for. Why not a graph (HNSW):
docs/adr/0021-approximate-index.md. Legend: N indexed items, G groups of equal ones, B rows of Q queries, K results, D
width. Knows nothing about what the vectors mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import torch

from training.distinct import numbered
from training.recall.index import ExactIndex, Index

ROUNDS = 10
POINTS_OF_A_LIST = 64
"""Centroids are learned in so many rounds from so many vectors each; more of either finds nothing more."""
LENGTH_ERROR = 1e-3


@dataclass(frozen=True)
class ApproximateIndex(Index):
    """Reads `probes` lists a query, and more where those have too few items left for a row. The same vectors and seed
    give the same index; vectors are of length 1 (or 0).
    """

    lists: Any
    """faiss's inverted file of the groups' vectors, by group number."""
    probes: int

    @classmethod
    def of(cls, exact: ExactIndex, probes: int, seed: int) -> ApproximateIndex:
        """The same items and vectors, in as many lists as the root of the number of groups.

        Raises:
            ValueError: a vector's length is not 1.
        """
        vector_GD = _of_length_one(exact.vector_GD)
        count, D = vector_GD.shape
        lists = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(D), D, list_count(count), faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        lists.by_residual = False
        lists.cp.niter, lists.cp.seed, lists.cp.spherical = ROUNDS, seed, True
        lists.cp.min_points_per_centroid, lists.cp.max_points_per_centroid = 1, POINTS_OF_A_LIST
        lists.train(vector_GD)
        lists.add(vector_GD)
        return cls(exact.items, lists, probes)

    def with_items(self, items: np.ndarray, vector_ND: torch.Tensor) -> ApproximateIndex:
        """See `Index`; the centroids stay as they are."""
        vector_ND = vector_ND.detach()
        more, first = self.items.with_items(items, vector_ND.numpy())
        lists = faiss.clone_index(self.lists)
        lists.add(_of_length_one(vector_ND.numpy()[first]))
        return ApproximateIndex(more, lists, self.probes)

    def _best(
        self, query_BQD: np.ndarray, k: int, excluded: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for query_QD, groups in zip(query_BQD, excluded, strict=True):
            yield self._best_of_row(np.ascontiguousarray(query_QD), k, groups)

    def _best_of_row(self, query_QD: np.ndarray, k: int, left_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wanted = min(k, len(self.items) - len(left_out))
        if wanted <= 0:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        # Held by a name as long as the search runs: faiss does not keep it alive.
        selector = faiss.IDSelectorNot(faiss.IDSelectorBatch(left_out)) if len(left_out) else None
        probes = min(self.probes, self.lists.nlist)
        while True:
            # One row at a time, or faiss might round otherwise for other company.
            score_QK, group_QK = self.lists.search(query_QD, wanted, params=_parameters(nprobe=probes, sel=selector))
            group, score = _best_by_group(group_QK[group_QK >= 0], score_QK[group_QK >= 0])
            if len(group) >= wanted or probes == self.lists.nlist:
                return group, score
            probes = min(4 * probes, self.lists.nlist)


_parameters: Any = faiss.SearchParametersIVF
"""Whatever faiss's stubs say, it takes its attributes by name."""


def list_count(vectors: int) -> int:
    """How many lists hold so many vectors."""
    return max(math.isqrt(vectors), 1)


def _best_by_group(group_F: np.ndarray, score_F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct groups, ascending, each with the best of its scores."""
    group_G, number_F = numbered(group_F)
    score_G = np.full(len(group_G), -np.inf, dtype=np.float32)
    np.maximum.at(score_G, number_F, score_F)
    return group_G, score_G


def _of_length_one(vector_ND: np.ndarray) -> np.ndarray:
    length_N = np.linalg.norm(vector_ND, axis=1)
    wrong = np.flatnonzero((np.abs(length_N - 1) > LENGTH_ERROR) & (length_N > 0))
    if len(wrong):
        raise ValueError(
            f"a vector has length {length_N[wrong[0]]:.3g}, and an approximate index compares directions; normalise it "
            "(similarity='cosine'), or search exactly (exact_up_to=None)"
        )
    return vector_ND
