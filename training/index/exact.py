"""Maximum inner product search, exact: the items with the largest inner products with a query.

Items with equal vectors are a group and are searched as one. Rare tracks share the vector of their artist, so on a log with
a long tail this saves two thirds of the work.

Large indexes are searched with quantized vectors (int8) first, a quarter of the memory traffic. The error of a quantized score
is bounded by the Cauchy-Schwarz inequality: |q·v - q'·v'| <= |q|·|v - v'| + |q - q'|·|v'|. Scoring all vectors that may be
among the best within that bound again therefore gives the exact result.

Cold items, which are known by their content only, are returned only if they score at least as high as items that users did
listen to would score if they were known only by their content: see `ColdStartIndex`.

Legend: N indexed items by position, V item codes, G groups, B rows of Q queries, R = B · Q, K results, X excluded items, F
groups that are scored again, M their members, D width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from training.engine.numba_compile import compiled, compiled_reordering

SCORES_PER_CHUNK = 16_777_216  # rows are searched in chunks whose scores take at most 64 MiB
MIN_GROUPS_FOR_PREFILTER = 8_192  # smaller indexes are scored as fast without the int8 prefilter
INT8_MAX = 127
SETS_PER_RESULT = 4  # more sets bound the k-th best score more closely, and take longer
FLOAT32_RELATIVE_ERROR = 1e-5
"""Bound of the rounding error of a float32 score relative to |q|·|v|, for widths up to some hundreds."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Index(ABC):
    """Immutable index of item vectors."""

    items: DuplicateVectorGroups

    def search(self, query_BD: Floats, k: int, exclude_BX: Ints | None = None) -> tuple[Ints, Floats]:
        """The `k` best items of one query per row.

        Args:
            query_BD: Queries.
            k: Number of results.
            exclude_BX: Items to exclude from each row.

        Returns:
            Items int64 [B, K] and scores float32 [B, K], best first, ties by smaller item, padded with 0 and -inf.
        """
        return self.search_best(query_BD[:, None], k, exclude_BX)

    def search_best(self, query_BQD: Floats, k: int, exclude_BX: Ints | None = None) -> tuple[Ints, Floats]:
        """`search` with Q queries per row, where the score of an item is the best by any of them; nothing if Q is 0."""
        query_BQD = np.asarray(query_BQD)
        B, Q, _ = query_BQD.shape
        items_BK, scores_BK = np.zeros((B, k), dtype=np.int64), np.full((B, k), -np.inf, dtype=np.float32)
        if len(self.items) and Q:
            exclude_BX = np.zeros((B, 0), dtype=np.int64) if exclude_BX is None else exclude_BX
            self._search(query_BQD, exclude_BX, items_BK, scores_BK)
        return items_BK, scores_BK

    @abstractmethod
    def _search(self, query_BQD: Floats, exclude_BX: Ints, items_BK: Ints, scores_BK: Floats) -> None:
        """Write the results of at least one query per row into padded arrays."""


@dataclass(frozen=True)
class ExactIndex(Index):
    """Index that scores all vectors."""

    vector_GD: Floats  # contiguous, since gathering rows per search is slower than multiplying

    @classmethod
    def of(cls, item_N: Ints, vector_ND: torch.Tensor) -> ExactIndex:
        """Index of distinct items and their float32 vectors."""
        row_ND = vector_ND.detach().numpy()
        items, first = DuplicateVectorGroups.of(item_N, row_ND)
        return cls(items, row_ND[first])

    def scores(self, query_BD: Floats) -> Floats:
        """The score of every item, in the order of `items.item_N`, [B, N]."""
        # `take` returns contiguous rows, unlike indexing columns.
        return np.take((self.vector_GD @ query_BD.T).T, self.items.group_N, axis=1)

    def _search(self, query_BQD: Floats, exclude_BX: Ints, items_BK: Ints, scores_BK: Floats) -> None:
        B, Q, D = query_BQD.shape
        rows = max(SCORES_PER_CHUNK // (len(self.vector_GD) * Q), 1)
        for start in range(0, B, rows):
            some = slice(start, start + rows)
            query_RD = query_BQD[some].reshape(-1, D)
            rounded = self._float_scores(query_RD) if self._prefilter is None else self._prefilter.scores(query_RD)
            found = items_BK[some], scores_BK[some]
            _search_rows(rounded, query_RD, self.vector_GD, self.items.tables, exclude_BX[some], *found)

    def _float_scores(self, query_RD: Floats) -> RoundedScores:
        length_R = np.sqrt(np.add.reduce(query_RD * query_RD, axis=1))
        # Groups times queries, which takes a fifth of the time of queries times groups.
        score_RG = np.ascontiguousarray((self.vector_GD @ query_RD.T).T)
        error = np.float32(FLOAT32_RELATIVE_ERROR * self._max_norm)
        return RoundedScores(score_RG, np.ones_like(length_R), length_R * error)

    @cached_property
    def _max_norm(self) -> float:
        return _max_norm(self.vector_GD)

    @cached_property
    def _prefilter(self) -> Int8Prefilter | None:
        if len(self.items) < MIN_GROUPS_FOR_PREFILTER or not has_fast_int8_matmul():
            return None
        return Int8Prefilter.of(self.vector_GD)


class RoundedScores(NamedTuple):
    """Scores that are wrong by up to a slack."""

    score_RG: Floats  # contiguous
    factor_R: Floats  # that the scores have to be multiplied by
    slack_R: Floats


def has_fast_int8_matmul() -> bool:
    """Whether the CPU has fast int8 dot products (VNNI); without them the prefilter saves no time."""
    return torch.cpu._is_vnni_supported()


@dataclass(frozen=True)
class Int8Prefilter:
    """Quantized vectors and the bounds of their errors."""

    int8_GD: torch.Tensor
    scale: float  # scale * int8_GD approximates the vectors
    max_norm: float  # largest norm of a dequantized vector
    max_error: float  # largest norm of a quantization error

    @classmethod
    def of(cls, vector_GD: Floats) -> Int8Prefilter:
        """Quantize vectors."""
        scale = float(np.abs(vector_GD).max(initial=0)) / INT8_MAX or 1.0
        rounded_GD = np.rint(vector_GD / scale)
        errors = _max_norm(rounded_GD * scale), _max_norm(vector_GD - rounded_GD * scale)
        return cls(torch.from_numpy(rounded_GD.astype(np.int8)), scale, *errors)

    def scores(self, query_RD: Floats) -> RoundedScores:
        """The scores of quantized vectors by quantized queries."""
        unit_R1 = np.maximum.reduce(np.abs(query_RD), axis=1, keepdims=True) / np.float32(INT8_MAX)
        unit_R1[unit_R1 == 0] = 1
        rounded_RD = np.rint(query_RD / unit_R1)
        error_RD = query_RD - rounded_RD * unit_R1
        length_R, error_R = (np.sqrt(np.add.reduce(of_RD * of_RD, axis=1)) for of_RD in (query_RD, error_RD))
        slack = self.max_error + FLOAT32_RELATIVE_ERROR * (self.max_norm + self.max_error)
        slack_R = length_R * np.float32(slack) + error_R * np.float32(self.max_norm)
        int8_RD = torch.from_numpy(rounded_RD.astype(np.int8))
        # A single query is multiplied as a column; as a row it takes two to three times as long on some CPUs.
        is_single = len(int8_RD) == 1
        product = torch._int_mm(self.int8_GD, int8_RD.T) if is_single else torch._int_mm(int8_RD, self.int8_GD.T)
        score_RG = product.numpy().reshape(len(query_RD), -1).astype(np.float32)
        return RoundedScores(score_RG, (unit_R1[:, 0] * self.scale).astype(np.float32), slack_R)


@dataclass(frozen=True)
class ColdStartIndex:
    """Searches `warm` items without a threshold and `cold` items with one.

    After Zhuo, Zhu, Yue, Zhao, "Learning Explicit User Interest Boundary for Recommendation" (WWW 2022), arXiv 2111.11026.
    Difference: there every user has a threshold that is learned with the model and applies to all items; here one number
    per task, a quantile of the positives' scores (`training.index.cold_start`), applies to cold items only.
    """

    warm: Index
    cold: ExactIndex

    def search(
        self, query_BD: Floats, k: int, exclude_BX: Ints | None = None, cold_item_threshold: float = np.inf
    ) -> tuple[Ints, Floats]:
        """`search_best` of one query per row."""
        return self.search_best(query_BD[:, None], k, exclude_BX, cold_item_threshold)

    def search_best(
        self, query_BQD: Floats, k: int, exclude_BX: Ints | None, cold_item_threshold: float
    ) -> tuple[Ints, Floats]:
        """`Index.search_best`, with cold items that score `cold_item_threshold` or more (infinity: none)."""
        items, scores = self.warm.search_best(query_BQD, k, exclude_BX)
        if not len(self.cold.items) or cold_item_threshold == np.inf:
            return items, scores
        cold_items, cold_scores = self.cold.search_best(query_BQD, k, exclude_BX)
        cold_scores[cold_scores < cold_item_threshold] = -np.inf
        items, scores = np.concatenate([items, cold_items], axis=1), np.concatenate([scores, cold_scores], axis=1)
        row_B1, best_BK = np.arange(len(items))[:, None], np.lexsort((items, -scores), axis=1)[:, :k]
        items, scores = items[row_B1, best_BK], scores[row_B1, best_BK]
        items[scores == -np.inf] = 0
        return items, scores


@dataclass(frozen=True)
class DuplicateVectorGroups:
    """Items with their groups."""

    item_N: Ints
    group_N: Ints  # group of each position
    member_N: Ints  # positions of group g, ascending: member_N[offset_G1[g]:offset_G1[g + 1]]
    offset_G1: Ints
    position_V: NDArray[np.int32]  # position of each item in item_N; -1: not indexed. The last one is of larger items

    @classmethod
    def of(cls, item_N: Ints, row_ND: Floats) -> tuple[DuplicateVectorGroups, Ints]:
        """Groups of distinct items by equal rows, and the position of each group's first item, ascending."""
        first_G, group_N = _group_duplicate_rows(row_ND)
        member_N = np.argsort(group_N, kind="stable")
        offset_G1 = np.concatenate([[0], np.cumsum(np.bincount(group_N, minlength=len(first_G)))]).astype(np.int64)
        position_V = np.full(int(item_N.max(initial=0)) + 2, -1, dtype=np.int32)
        position_V[item_N] = np.arange(len(item_N))
        return cls(item_N, group_N, member_N, offset_G1, position_V), first_G

    def __len__(self) -> int:
        """Number of groups, G."""
        return len(self.offset_G1) - 1

    @cached_property
    def tables(self) -> GroupTables:
        """The same arrays for compiled functions."""
        return GroupTables(**vars(self))


class GroupTables(NamedTuple):
    """See `DuplicateVectorGroups`."""

    item_N: Ints
    group_N: Ints
    member_N: Ints
    offset_G1: Ints
    position_V: NDArray[np.int32]


@compiled
def _search_rows(
    rounded: RoundedScores,
    query_RD: Floats,
    vector_GD: Floats,
    groups: GroupTables,
    exclude_BX: Ints,
    items_BK: Ints,
    scores_BK: Floats,
) -> None:
    """Write the best items of each row and their scores. The groups that may be among the best are scored again."""
    score_RG, factor_R, slack_R = rounded
    B, Q = len(items_BK), len(query_RD) // len(items_BK)
    best_G = np.empty(len(vector_GD), np.float32)
    for b in range(B):
        slack = np.float32(0)
        best_G[:] = -np.inf
        for r in range(b * Q, (b + 1) * Q):
            slack = max(slack, slack_R[r])
            for g in range(len(best_G)):
                best_G[g] = max(best_G[g], score_RG[r, g] * factor_R[r])
        is_excluded_N, excluded = exclude_items(exclude_BX[b], groups)
        for g in excluded:
            best_G[g] = -np.inf
        group_F = _may_be_best(best_G, items_BK.shape[1], slack)
        score_F = np.full(len(group_F), -np.inf, np.float32)
        for f in range(len(group_F)):
            for r in range(b * Q, (b + 1) * Q):
                score_F[f] = max(score_F[f], _inner_product(vector_GD[group_F[f]], query_RD[r]))
        fill_best(group_F, score_F, is_excluded_N, groups, items_BK[b], scores_BK[b])


@compiled
def exclude_items(exclude_X: Ints, groups: GroupTables) -> tuple[NDArray[np.bool_], Ints]:
    """Whether each position is excluded [N], and the groups without another member. Unknown items are ignored."""
    is_excluded_N, count_G = np.zeros(len(groups.item_N), np.bool_), np.zeros(len(groups.offset_G1) - 1, np.int32)
    whole_X, found = np.empty(len(exclude_X), np.int64), 0
    for item in exclude_X:
        position = groups.position_V[min(item, len(groups.position_V) - 1)]
        if position >= 0 and not is_excluded_N[position]:
            is_excluded_N[position] = True
            group = groups.group_N[position]
            count_G[group] += 1
            if count_G[group] == groups.offset_G1[group + 1] - groups.offset_G1[group]:
                whole_X[found] = group
                found += 1
    return is_excluded_N, whole_X[:found]


@compiled
def _may_be_best(score_G: Floats, k: int, slack: np.float32) -> Ints:
    """Groups that may be among the best `k` if each score is wrong by up to `slack`, ascending, and few others; not -inf.

    The k-th best score is at least the k-th best maximum of disjoint sets of groups, which are fewer.
    """
    best_S = np.full(SETS_PER_RESULT * k, -np.inf, np.float32)
    for start in range(0, len(score_G), len(best_S)):
        for s in range(min(len(best_S), len(score_G) - start)):
            best_S[s] = score_G[start + s] if score_G[start + s] > best_S[s] else best_S[s]
    bound, found_G, count = _kth_best(best_S, k) - 2 * slack, np.empty(len(score_G), np.int64), 0
    for g in range(len(score_G)):
        if score_G[g] >= bound and score_G[g] > -np.inf:
            found_G[count] = g
            count += 1
    return found_G[:count]


@compiled_reordering
def _inner_product(first_D: Floats, second_D: Floats) -> np.float32:
    total = np.float32(0)
    for d in range(len(first_D)):
        total += first_D[d] * second_D[d]
    return total


@compiled
def fill_best(
    group_F: Ints,
    score_F: Floats,
    is_excluded_N: NDArray[np.bool_],
    groups: GroupTables,
    items_K: Ints,
    scores_K: Floats,
) -> None:
    """Write the best items of distinct groups, which have at least one item that is not excluded, and their scores."""
    bound, members = _kth_best(score_F, len(items_K)), 0
    for group, score in zip(group_F, score_F):  # noqa: B905  # Numba knows no `strict`
        members += groups.offset_G1[group + 1] - groups.offset_G1[group] if score >= bound else 0
    item_M, score_M, count = np.empty(members, np.int64), np.empty(members, np.float32), 0
    for group, score in zip(group_F, score_F):  # noqa: B905
        if score >= bound:
            for position in groups.member_N[groups.offset_G1[group] : groups.offset_G1[group + 1]]:
                if not is_excluded_N[position]:
                    item_M[count], score_M[count] = groups.item_N[position], score
                    count += 1
    item_M, score_M = item_M[:count], score_M[:count]
    best = np.flatnonzero(score_M >= _kth_best(score_M, len(items_K)))  # sorting dominates the remaining work
    best = best[np.argsort(item_M[best])]  # ties are broken by item, so that results are deterministic
    best = best[np.argsort(-score_M[best], kind="mergesort")][: len(items_K)]
    items_K[: len(best)], scores_K[: len(best)] = item_M[best], score_M[best]


@compiled
def _kth_best(score_F: Floats, k: int) -> np.float32:
    """The `k`-th best score; -infinity if there are not more."""
    if len(score_F) <= k:
        return np.float32(-np.inf)
    kth: np.float32 = np.partition(score_F, len(score_F) - k)[len(score_F) - k]
    return kth


def _group_duplicate_rows(row_ND: Floats) -> tuple[Ints, Ints]:
    """First row of each group of equal rows, ascending, and the group of each row."""
    as_bytes = np.ascontiguousarray(row_ND).view(np.dtype((np.void, row_ND.shape[1] * row_ND.itemsize))).ravel()
    _, first, group_N = np.unique(as_bytes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank_G = np.empty(len(first), dtype=np.int64)
    rank_G[order] = np.arange(len(first))
    return first[order], rank_G[group_N]


def _max_norm(vector_GD: Floats) -> float:
    return float(np.sqrt(np.square(vector_GD).sum(1).max(initial=0)))
