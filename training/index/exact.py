"""Maximum inner product search, exact: the items with the largest inner products with a query.

Legend: N indexed items, G groups of equal vectors, B rows of Q queries, R = B · Q, K results, D width.

Groups of items with the same vector, searched as one, and exclusions by group.

Legend: N indexed items by position, G groups.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from training.data.ragged import concatenate_ranges
from training.data.unique_keys import unique_counts, unique_values
from training.index.int8_prefilter import EXCLUDED, Int8Prefilter, has_fast_int8_matmul, may_be_best

GROUPS_PER_CHUNK = 16_384  # scores of a chunk stay in the CPU cache until they are reduced to the best of each row
SCORES_PER_CHUNK = 16_777_216  # rows are searched in chunks whose scores take at most 64 MiB
MIN_GROUPS_FOR_PREFILTER = 8_192  # smaller indexes are scored as fast without the int8 prefilter


@dataclass(frozen=True)
class Index(ABC):
    """Immutable index of item vectors.

    Items with equal vectors are searched as one. Rare tracks share the vector of their artist, so on a log with a long
    tail this saves two thirds of the work.
    """

    items: DuplicateVectorGroups

    def search(
        self, query_BD: torch.Tensor, k: int, exclude_BX: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The `k` best items of one query per row.

        Args:
            query_BD: Queries.
            k: Number of results.
            exclude_BX: Items to exclude from each row.

        Returns:
            Items int64 [B, K] and scores float32 [B, K], best first, ties by smaller item, padded with 0 and -inf.
        """
        return self.search_best(query_BD[:, None], k, exclude_BX)

    @torch.no_grad()
    def search_best(
        self, query_BQD: torch.Tensor, k: int, exclude_BX: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """`search` with Q queries per row, where the score of an item is the best by any of them; nothing if Q is 0."""
        B, Q, _ = query_BQD.shape
        items, values = np.zeros((B, k), dtype=np.int64), np.full((B, k), -np.inf, dtype=np.float32)
        if not len(self.items) or not Q:
            return items, values
        exclude_BX = np.zeros((B, 0), dtype=np.int64) if exclude_BX is None else exclude_BX
        excluded = [self.items.find_excluded(items_X) for items_X in exclude_BX]
        best = self._best_groups(query_BQD.detach().numpy(), k, [groups for _, groups in excluded])
        for row, ((group, score), (positions, _)) in enumerate(zip(best, excluded, strict=True)):
            top, value = self._top_items(group, score, positions, k)
            items[row, : len(top)], values[row, : len(top)] = top, value
        return items, values

    @abstractmethod
    def _best_groups(
        self, query_BQD: np.ndarray, k: int, excluded: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Candidate groups of each row with their scores: at least the best `k` not excluded, including ties.

        Every group has at least one item that is not excluded, so the best `k` groups contain the best `k` items.
        """

    def _top_items(
        self, group: np.ndarray, score: np.ndarray, excluded: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best `k` items of the groups, without excluded positions, and their scores."""
        position, index = self.items.members(group)
        if len(excluded):
            kept = excluded[np.minimum(np.searchsorted(excluded, position), len(excluded) - 1)] != position
            position, index = position[kept], index[kept]
        item, score = self.items.item_N[position], score[index]
        if len(item) > k:  # sorting dominates the remaining work, so sort only the best
            is_best = score >= kth_best_score(score, k)
            item, score = item[is_best], score[is_best]
        # Ties are broken by item, so that results are deterministic.
        best = np.lexsort((item, -score))[:k]
        return item[best], score[best]


@dataclass(frozen=True)
class ExactIndex(Index):
    """Index that scores all vectors."""

    vector_GD: np.ndarray  # float32, contiguous, since gathering rows per search is slower than multiplying

    @classmethod
    def of(cls, item_N: np.ndarray, vector_ND: torch.Tensor) -> ExactIndex:
        """Index of distinct items (int64) and their float32 vectors."""
        row_ND = vector_ND.detach().numpy()
        items, first = DuplicateVectorGroups.of(item_N, row_ND)
        return cls(items, row_ND[first])

    @torch.no_grad()
    def scores(self, query_BD: torch.Tensor) -> np.ndarray:
        """The score of every item, in the order of `items.item_N`, float32 [B, N]."""
        if not len(self.items):
            return np.zeros((len(query_BD), 0), dtype=np.float32)
        # `take` returns contiguous rows, unlike indexing columns.
        return np.take(self._scores(query_BD[:, None].detach().numpy()), self.items.group_N, axis=1)

    def _best_groups(
        self, query_BQD: np.ndarray, k: int, excluded: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        chunk = max(SCORES_PER_CHUNK // len(self.items), 1)
        for start in range(0, len(query_BQD), chunk):
            some = slice(start, start + chunk)
            if self._prefilter is None:
                yield from self._best_of_scores(query_BQD[some], k, excluded[some])
            else:
                yield from self._best_by_prefilter(self._prefilter, query_BQD[some], k, excluded[some])

    def _best_of_scores(
        self, query_BQD: np.ndarray, k: int, excluded: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for score_G, groups in zip(self._scores(query_BQD), excluded, strict=True):
            score_G[groups] = -np.inf
            group = np.flatnonzero((score_G >= kth_best_score(score_G, k)) & (score_G > -np.inf))
            yield group, score_G[group]

    def _best_by_prefilter(
        self, prefilter: Int8Prefilter, query_BQD: np.ndarray, k: int, excluded: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The same result, computing exact scores only of groups that may be among the best by their int8 scores."""
        int8_score_BG, slack_B = prefilter.scores(query_BQD)
        for query_QD, int8_score_G, slack, groups in zip(
            query_BQD, int8_score_BG.numpy(), slack_B, excluded, strict=True
        ):
            int8_score_G[groups] = EXCLUDED
            # The k-th best score may be too high by `slack` while another one is too low by `slack`.
            group = may_be_best(int8_score_G, k, float(slack))
            score = (self.vector_GD[group] @ query_QD.T).max(1)
            is_best = score >= kth_best_score(score, k)
            yield group[is_best], score[is_best]

    @cached_property
    def _prefilter(self) -> Int8Prefilter | None:
        if len(self.items) < MIN_GROUPS_FOR_PREFILTER or not has_fast_int8_matmul():
            return None
        return Int8Prefilter.of(self.vector_GD)

    def _scores(self, query_BQD: np.ndarray) -> np.ndarray:
        """Best score of each group by any query of the row, [B, G]."""
        B, Q, D = query_BQD.shape
        query_DR = query_BQD.reshape(B * Q, D).T
        score_BG = np.empty((B, len(self.items)), dtype=np.float32)
        for start in range(0, score_BG.shape[1], GROUPS_PER_CHUNK):
            some = slice(start, start + GROUPS_PER_CHUNK)
            # For many rows and few columns, NumPy's product takes half the time of torch's, and torch's maximum a fifth
            # of NumPy's.
            score_GR = self.vector_GD[some] @ query_DR
            best_GB = torch.from_numpy(score_GR).view(-1, B, Q).amax(2).numpy() if Q > 1 else score_GR
            score_BG[:, some] = best_GB.T
        return score_BG


def kth_best_score(score_G: np.ndarray, k: int) -> float:
    """The `k`-th best score; the lowest if there are fewer than `k`, -infinity if there are none."""
    if not len(score_G):
        return -np.inf
    score_G, index = score_G.copy(), max(len(score_G) - k, 0)
    score_G.partition(index)
    return float(score_G[index])


@dataclass(frozen=True)
class DuplicateVectorGroups:
    """Items with their groups."""

    item_N: np.ndarray
    group_N: np.ndarray  # group of each position
    member_N: np.ndarray  # positions of group g, ascending: member_N[offset_G1[g]:offset_G1[g + 1]]
    offset_G1: np.ndarray
    position_V: np.ndarray  # position of each item in item_N; -1: not indexed. The last entry is used for larger items

    @classmethod
    def of(cls, item_N: np.ndarray, row_ND: np.ndarray) -> tuple[DuplicateVectorGroups, np.ndarray]:
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

    def positions(self, items: np.ndarray) -> np.ndarray:
        """Positions of items of any shape; -1: not indexed. A table lookup is 20 times as fast as a binary search."""
        position: np.ndarray = self.position_V[np.minimum(items, len(self.position_V) - 1)]
        return position

    def members(self, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the members of some groups, and for each member the index of its group in `groups`."""
        index, group_index = concatenate_ranges(self.offset_G1[groups], self.offset_G1[groups + 1])
        return self.member_N[index], group_index

    def find_excluded(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions and groups to skip if `items` are excluded; unknown items and duplicates are ignored.

        Returns:
            Positions of the items, ascending, and the groups that have no other member.
        """
        position = self.positions(items)
        position = position[position >= 0]
        if not len(position):
            return position, position
        position = unique_values(position)
        group, count = unique_counts(self.group_N[position])
        return position, group[count == self.offset_G1[group + 1] - self.offset_G1[group]]


def _group_duplicate_rows(row_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First row of each group of equal rows, ascending, and the group of each row."""
    as_bytes = np.ascontiguousarray(row_ND).view(np.dtype((np.void, row_ND.shape[1] * row_ND.itemsize))).ravel()
    _, first, group_N = np.unique(as_bytes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank_G = np.empty(len(first), dtype=np.int64)
    rank_G[order] = np.arange(len(first))
    return first[order], rank_G[group_N]
