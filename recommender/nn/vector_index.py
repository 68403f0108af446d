"""Maximum inner product search over item vectors by FAISS, and geometry of unit-length vectors.

Items with equal vectors are one vector of the index: rare tracks share the vector of their artist, so on a log with a long tail
this saves two thirds of the work. Many vectors are searched in inverted lists, few exhaustively.

Cold items, which are known by their content only, are returned only if they score at least as high as items that users did
listen to would score if they were known only by their content: see `ColdStartIndex`.

Legend: N indexed items, G distinct vectors, B rows of Q queries, K results, X excluded items, F vectors found, T targets, P points,
D width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from recommender.array_types import AnyFloats, Floats, Ints
from recommender.catalog.arrays import Ragged
from recommender.compiled import compiled
from recommender.nn.item_tower import ItemCodes

faiss.cvar.distance_compute_blas_threshold = 4 * 64
"""FAISS multiplies matrices in an exhaustive search if queries times width reach this: from 4 queries of width 64 on. That is 6 times
as fast for 1,024 queries as one query after the other, which is faster for one or two."""
PROBED_SHARE = 1 / 16
"""Share of the inverted lists that a query reads: it finds 98 % of the 200 best of 50,000 clustered vectors."""


@dataclass(frozen=True)
class VectorIndex:
    """Immutable index of item vectors."""

    item_N: Ints  # by vector, ascending: vector g has item_N[offset_G1[g]:offset_G1[g + 1]]
    offset_G1: Ints
    faiss_index: Any  # of the distinct vectors

    @classmethod
    def of(cls, item_N: Ints, vector_ND: torch.Tensor, exact_up_to: int | None = None) -> VectorIndex:
        """Index of distinct items, ascending, and their float32 vectors.

        Args:
            item_N: Items.
            vector_ND: Their vectors; of unit length or zeros, if approximate search is allowed.
            exact_up_to: Largest number of distinct vectors that are searched exhaustively; None: no limit.
        """
        row_ND = np.ascontiguousarray(vector_ND.detach().numpy())
        as_bytes_N = row_ND.view(np.dtype((np.void, row_ND.shape[1] * row_ND.itemsize))).ravel()
        _, first_G, group_N = np.unique(as_bytes_N, return_index=True, return_inverse=True)
        first_N = first_G[group_N]  # of equal vectors, the one of the smallest item stands for all
        order_N = np.argsort(first_N, kind="stable")
        first_G.sort()
        offset_G1 = np.append(np.searchsorted(first_N[order_N], first_G), len(item_N))
        vector_GD = row_ND[first_G]
        if exact_up_to is None or len(vector_GD) <= exact_up_to:
            index: Any = faiss.IndexFlatIP(row_ND.shape[1])
        else:
            lists = int(4 * math.sqrt(len(vector_GD)))
            index = faiss.index_factory(row_ND.shape[1], f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
            index.train(vector_GD)
            index.nprobe = max(int(PROBED_SHARE * lists), 1)
        index.add(vector_GD)
        return cls(item_N[order_N], offset_G1, index)

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
        B, Q, D = query_BQD.shape
        items_BK, scores_BK = np.zeros((B, k), dtype=np.int64), np.full((B, k), -np.inf, dtype=np.float32)
        exclude_BX = np.zeros((B, 0), dtype=np.int64) if exclude_BX is None else exclude_BX
        wanted = min(k + exclude_BX.shape[1], len(self))
        if wanted and B and Q:
            query_RD = np.ascontiguousarray(query_BQD, dtype=np.float32).reshape(B * Q, D)
            score_RF, group_RF = self.faiss_index.search(query_RD, wanted)
            found = score_RF.reshape(B, -1), group_RF.reshape(B, -1)
            _take_items(*found, exclude_BX, self.item_N, self.offset_G1, items_BK, scores_BK)
        return items_BK, scores_BK


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
        self, query_BQD: Floats, k: int, exclude_BX: Ints | None = None, cold_item_threshold: float = np.inf
    ) -> tuple[Ints, Floats]:
        """`VectorIndex.search`, with cold items that score `cold_item_threshold` or more (infinity: none)."""
        items, scores = self.warm.search(query_BQD, k, exclude_BX)
        if not len(self.cold) or cold_item_threshold == np.inf:
            return items, scores
        cold_items, cold_scores = self.cold.search(query_BQD, k, exclude_BX)
        cold_scores[cold_scores < cold_item_threshold] = -np.inf
        items, scores = np.concatenate([items, cold_items], axis=1), np.concatenate([scores, cold_scores], axis=1)
        row_B1, best_BK = np.arange(len(items))[:, None], np.lexsort((items, -scores), axis=1)[:, :k]
        items, scores = items[row_B1, best_BK], scores[row_B1, best_BK]
        items[scores == -np.inf] = 0
        return items, scores


@compiled
def _take_items(
    scores_BF: Floats,
    groups_BF: Ints,
    exclude_BX: Ints,
    item_N: Ints,
    offset_G1: Ints,
    items_BK: Ints,
    scores_BK: Floats,
) -> None:
    """Write the items of the vectors that were found, the best first, each once; -1 is no vector."""
    for b in range(len(items_BK)):
        excluded_X, is_taken_G, taken = np.sort(exclude_BX[b]), np.zeros(len(offset_G1), np.bool_), 0
        order_F = np.argsort(groups_BF[b])
        for place in order_F[np.argsort(-scores_BF[b][order_F], kind="mergesort")]:
            group = groups_BF[b, place]
            if taken == items_BK.shape[1] or group < 0 or is_taken_G[group]:
                continue
            is_taken_G[group] = True
            for item in item_N[offset_G1[group] : offset_G1[group + 1]]:
                at = np.searchsorted(excluded_X, item)
                is_excluded = at < len(excluded_X) and excluded_X[at] == item
                if taken < items_BK.shape[1] and not is_excluded:
                    items_BK[b, taken], scores_BK[b, taken] = item, scores_BF[b, place]
                    taken += 1


@torch.no_grad()
def score_positives_as_cold(
    query_BQD: np.ndarray, targets: Ragged, vectors: Callable[[torch.Tensor, bool], torch.Tensor], codes: ItemCodes
) -> np.ndarray:
    """Score that each target with content would have as a cold item, by the best query of its request."""
    has_content = cast(torch.Tensor, codes.content_V).numpy()[targets.items] > 0
    item_T = torch.from_numpy(targets.items[has_content])
    query_TQD = torch.as_tensor(query_BQD)[torch.from_numpy(targets.case_per_item[has_content])]
    score_TQ = (query_TQD @ vectors(item_T, True)[..., None]).squeeze(-1)
    return score_TQ.amax(1).numpy() if len(item_T) else np.zeros(0, dtype=np.float32)


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
