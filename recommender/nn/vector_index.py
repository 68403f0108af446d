"""Maximum inner product search over item vectors, and geometry of unit-length vectors.

Items with equal vectors are one vector of the index: rare tracks share the vector of their artist, so on a log with a long tail
this saves two thirds of the work. Many vectors are searched in inverted lists of FAISS, few exhaustively.

Cold items, which are known by their content only, are returned only if they score at least as high as items that users did
listen to would score if they were known only by their content: see `ColdStartIndex`.

Legend: N indexed items, G distinct vectors, B rows of Q queries, K results, X excluded items, F vectors found, P points,
D width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from recommender.array_types import AnyFloats, Floats, Ints
from recommender.catalog.arrays import top_k_positions
from recommender.compiled import compiled

QUERIES_PER_PRODUCT = 64
"""Queries of an exhaustive search that one matrix product compares with all vectors."""
PROBED_SHARE = 1 / 16
"""Share of the inverted lists that a query reads: it finds 98 % of the 200 best of 50,000 clustered vectors."""


@dataclass(frozen=True)
class VectorIndex:
    """Immutable index of item vectors."""

    item_N: Ints  # by vector, ascending: vector g has item_N[offset_G1[g]:offset_G1[g + 1]]
    offset_G1: Ints
    vectors: Any  # the distinct vectors: an array [D, G], all of which is searched, or inverted lists of FAISS

    @classmethod
    def of(cls, item_N: Ints, vector_ND: Floats, exact_up_to: int | None = None) -> VectorIndex:
        """Index of distinct items, ascending, and their float32 vectors.

        Args:
            item_N: Items.
            vector_ND: Their vectors; of unit length or zeros, if approximate search is allowed.
            exact_up_to: Largest number of distinct vectors that are searched exhaustively; None: no limit.
        """
        row_ND = np.ascontiguousarray(vector_ND)
        as_bytes_N = row_ND.view(np.dtype((np.void, row_ND.shape[1] * row_ND.itemsize))).ravel()
        _, first_G, group_N = np.unique(as_bytes_N, return_index=True, return_inverse=True)
        first_N = first_G[group_N]  # of equal vectors, the one of the smallest item stands for all
        order_N = np.argsort(first_N, kind="stable")
        first_G.sort()
        offset_G1 = np.append(np.searchsorted(first_N[order_N], first_G), len(item_N))
        vector_GD = row_ND[first_G]
        if exact_up_to is None or len(vector_GD) <= exact_up_to:
            return cls(item_N[order_N], offset_G1, np.ascontiguousarray(vector_GD.T))
        lists = int(4 * math.sqrt(len(vector_GD)))
        inverted_lists: Any = faiss.index_factory(row_ND.shape[1], f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
        inverted_lists.train(vector_GD)
        inverted_lists.nprobe = max(int(PROBED_SHARE * lists), 1)
        inverted_lists.add(vector_GD)
        return cls(item_N[order_N], offset_G1, inverted_lists)

    def __len__(self) -> int:
        """Number of distinct vectors, G."""
        return len(self.offset_G1) - 1

    def search(self, query_BQD: Floats, k: int, exclude_BX: Ints | None = None) -> tuple[Ints, Floats]:
        """The `k` best items of each row of Q queries; the score of an item is the best by any of them.

        Args:
            query_BQD: Queries.
            k: Number of results.
            exclude_BX: Items to exclude from each row.

        Returns:
            Items int64 [B, K] and scores float32 [B, K], best first, ties by smaller item, padded with 0 and -inf.
        """
        B, Q, _ = query_BQD.shape
        items_BK, scores_BK = np.zeros((B, k), dtype=np.int64), np.full((B, k), -np.inf, dtype=np.float32)
        exclude_BX = np.zeros((B, 0), dtype=np.int64) if exclude_BX is None else exclude_BX
        wanted = min(k + exclude_BX.shape[1], len(self))
        if wanted and B and Q:
            nearest = self._nearest_vectors(np.ascontiguousarray(query_BQD, dtype=np.float32), wanted)
            for row, (score_F, group_F) in enumerate(nearest):
                places = self.item_N, self.offset_G1, items_BK[row], scores_BK[row]
                _take_items(score_F, group_F, exclude_BX[row], *places)
        return items_BK, scores_BK

    def _nearest_vectors(self, query_BQD: Floats, count: int) -> Iterator[tuple[Floats, Ints]]:
        """Scores and numbers of the best vectors for each row [F], -1 for none. Inverted lists give a vector once per query."""
        B, Q, D = query_BQD.shape
        if not isinstance(self.vectors, np.ndarray):
            score_RF, group_RF = self.vectors.search(query_BQD.reshape(B * Q, D), count)
            yield from zip(score_RF.reshape(B, -1), group_RF.reshape(B, -1), strict=True)
            return
        step = max(QUERIES_PER_PRODUCT // Q, 1)
        for start in range(0, B, step):
            score_RG = query_BQD[start : start + step].reshape(-1, D) @ self.vectors
            for score_QG in score_RG.reshape(-1, Q, len(self)):
                best_G = score_QG.max(axis=0)
                group_F = top_k_positions(best_G, count)
                yield best_G[group_F], group_F


@dataclass(frozen=True)
class ColdStartIndex:
    """Searches `warm` items without a threshold and `cold` items with one.

    After Zhuo, Zhu, Yue, Zhao, "Learning Explicit User Interest Boundary for Recommendation" (WWW 2022), arXiv 2111.11026.
    Difference: there every user has a threshold that is learned with the model and applies to all items; here one number
    per task, a quantile of the positives' scores (`recommender.nn.vector_index`), applies to cold items only.
    """

    warm: VectorIndex
    cold: VectorIndex

    def search(
        self, query_BQD: Floats, k: int, exclude_BX: Ints | None = None, threshold_B: AnyFloats | None = None
    ) -> tuple[Ints, Floats]:
        """`VectorIndex.search`, with cold items that score at least the threshold of their row (infinity or None: none)."""
        items, scores = self.warm.search(query_BQD, k, exclude_BX)
        if not len(self.cold) or threshold_B is None or np.isinf(threshold_B).all():
            return items, scores
        cold_items, cold_scores = self.cold.search(query_BQD, k, exclude_BX)
        cold_scores[cold_scores < threshold_B[:, None]] = -np.inf
        items, scores = np.concatenate([items, cold_items], axis=1), np.concatenate([scores, cold_scores], axis=1)
        row_B1, best_BK = np.arange(len(items))[:, None], np.lexsort((items, -scores), axis=1)[:, :k]
        items, scores = items[row_B1, best_BK], scores[row_B1, best_BK]
        items[scores == -np.inf] = 0
        return items, scores


@compiled
def _take_items(
    score_F: Floats,
    group_F: Ints,
    exclude_X: Ints,
    item_N: Ints,
    offset_G1: Ints,
    items_K: Ints,
    scores_K: Floats,
) -> None:
    """Write the items of the vectors that were found, the best first, each once; -1 is no vector."""
    excluded_X, is_taken_G, taken = np.sort(exclude_X), np.zeros(len(offset_G1), np.bool_), 0
    order_F = np.argsort(group_F)
    for place in order_F[np.argsort(-score_F[order_F], kind="mergesort")]:
        group = group_F[place]
        if taken == len(items_K) or group < 0 or is_taken_G[group]:
            continue
        is_taken_G[group] = True
        for item in item_N[offset_G1[group] : offset_G1[group + 1]]:
            at = np.searchsorted(excluded_X, item)
            is_excluded = at < len(excluded_X) and excluded_X[at] == item
            if taken < len(items_K) and not is_excluded:
                items_K[taken], scores_K[taken] = item, score_F[place]
                taken += 1


MIN_SINE = 1e-6
"""Arcs with a smaller sine have no unique direction: their ends are equal or opposite."""


def interpolate_on_sphere(first_D: AnyFloats, last_D: AnyFloats, points: int) -> NDArray[np.float64]:
    """`points` unit-length vectors from `first_D` to `last_D` with equal angles between neighbors, both included, [P, D].

    Spherical linear interpolation (Shoemake, "Animating Rotation with Quaternion Curves", SIGGRAPH 1985). Ends that are
    equal or opposite are interpolated along the straight line between them.
    """
    first, last = first_D.astype(np.float64), last_D.astype(np.float64)
    share_P1 = np.linspace(0, 1, points)[:, None]
    angle = float(np.arccos(np.clip(first @ last, -1, 1)))
    if np.sin(angle) < MIN_SINE:
        point_PD = (1 - share_P1) * first + share_P1 * last
        length_P1 = np.linalg.norm(point_PD, axis=1, keepdims=True)
        return np.where(length_P1 > MIN_SINE, point_PD / np.maximum(length_P1, MIN_SINE), first)
    weights = np.sin((1 - share_P1) * angle), np.sin(share_P1 * angle)
    return (weights[0] * first + weights[1] * last) / np.sin(angle)


def angles(vector_ND: AnyFloats, other_MD: AnyFloats) -> NDArray[np.float64]:
    """Angles between unit-length vectors in radians, [N, M]."""
    cosine_NM = np.clip(vector_ND.astype(np.float64) @ other_MD.astype(np.float64).T, -1, 1)
    return np.arccos(cosine_NM)
