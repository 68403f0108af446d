"""Nearest items by inner product: exact, in chunks over the catalogue. An approximate index would offer the same
`search`.

Legend: N indexed items, B rows of Q queries, K results, D width. Knows nothing about what the vectors mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch

ITEMS_AT_ONCE = 65_536


class Index(Protocol):
    """Anything that finds the best items for a query."""

    def search(self, query_BD: torch.Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Items int64 [B, K] and scores float32 [B, K], best first, ties by smaller item; 0 and -inf beyond the last
        item.
        """
        ...


@dataclass(frozen=True)
class ExactIndex:
    """`item_N` int64 ascending, `vector_ND` float32, `bias_N` float32 added to every score of the item.

    Items of one vector and bias (tracks too rare for a vector of their own have their artist's) are scored as one: on a
    log with a long tail that is a third of the work. G groups of equal items.
    """

    item_N: np.ndarray
    vector_ND: torch.Tensor
    bias_N: torch.Tensor

    @cached_property
    def _groups(self) -> _Groups:
        return _Groups.of(torch.cat([self.vector_ND, self.bias_N[:, None]], dim=1).numpy())

    def search(
        self, query_BD: torch.Tensor, k: int, exclude_BX: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Index`."""
        return self.search_best(query_BD[:, None], k, exclude_BX)

    @torch.no_grad()
    def search_best(
        self, query_BQD: torch.Tensor, k: int, exclude_BX: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As if each of Q queries of a row were searched alone and an item of several lists counted by its best score.

        `exclude_BX`: items that a row must not get.
        """
        B, Q, _ = query_BQD.shape
        groups = self._groups
        excluded = _Excluded.of(self.item_N, groups, exclude_BX)
        best_BK = torch.full((B, 0), -torch.inf)
        group_BK = torch.zeros((B, 0), dtype=torch.int64)
        first_G = torch.from_numpy(groups.member_N[groups.offset_G1[:-1]])
        at_once = max(ITEMS_AT_ONCE // Q, 1)
        for start in range(0, len(first_G), at_once):
            of_group = first_G[start : start + at_once]
            score_BQG = torch.addmm(self.bias_N[of_group], query_BQD.flatten(0, 1), self.vector_ND[of_group].T)
            score_BG = score_BQG if Q == 1 else score_BQG.view(B, Q, -1).amax(1)
            here = (excluded.whole_group_E >= start) & (excluded.whole_group_E < start + len(of_group))
            score_BG[excluded.whole_row_E[here], excluded.whole_group_E[here] - start] = -torch.inf
            score_BK, found_BK = score_BG.topk(min(k, len(of_group)), dim=1)
            best_BK = torch.cat([best_BK, score_BK], dim=1)
            group_BK = torch.cat([group_BK, found_BK + start], dim=1)
        items = np.zeros((B, k), dtype=np.int64)
        values = np.full((B, k), -np.inf, dtype=np.float32)
        for row, (score_K, group_K) in enumerate(zip(best_BK.numpy(), group_BK.numpy(), strict=True)):
            found, score = self._members(group_K, score_K, excluded.places(row), k)
            items[row, : len(found)], values[row, : len(found)] = found, score
        return items, values

    def _members(
        self, group_K: np.ndarray, score_K: np.ndarray, excluded: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best `k` items of some groups, without the excluded places, and their scores."""
        group_K, score_K = group_K[np.isfinite(score_K)], score_K[np.isfinite(score_K)]
        order = np.lexsort((group_K, -score_K))[:k]
        place, of = self._groups.members(group_K[order])
        if len(excluded):
            kept = excluded[np.minimum(np.searchsorted(excluded, place), len(excluded) - 1)] != place
            place, of = place[kept], of[kept]
        score = score_K[order][of]
        # Equal scores in the order of the items, so that the same request always gets the same answer.
        best = np.lexsort((place, -score))[:k]
        return self.item_N[place[best]], score[best]


@dataclass(frozen=True)
class _Groups:
    """Places of equal items: group g's are `member_N[offset_G1[g]:offset_G1[g + 1]]`, ascending."""

    member_N: np.ndarray
    offset_G1: np.ndarray
    group_N: np.ndarray

    @classmethod
    def of(cls, row_ND: np.ndarray) -> _Groups:
        """Of the rows of a matrix; groups in the order of their first member."""
        as_bytes = np.ascontiguousarray(row_ND).view(np.dtype((np.void, row_ND.shape[1] * row_ND.itemsize))).ravel()
        _, first, group_N = np.unique(as_bytes, return_index=True, return_inverse=True)
        rank_G = np.empty(len(first), dtype=np.int64)
        rank_G[np.argsort(first)] = np.arange(len(first))
        group_N = rank_G[group_N]
        counts = np.bincount(group_N, minlength=len(first))
        return cls(np.argsort(group_N, kind="stable"), np.concatenate([[0], np.cumsum(counts)]), group_N)

    def members(self, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places of the members of some groups, and for each the place of its group among those asked for."""
        begin, count = self.offset_G1[groups], self.offset_G1[groups + 1] - self.offset_G1[groups]
        of = np.repeat(np.arange(len(groups)), count)
        return self.member_N[np.arange(len(of)) - np.repeat(count.cumsum() - count, count) + begin[of]], of


@dataclass(frozen=True)
class _Excluded:
    """What a request must not get: indexed places by row, and the groups of which nothing is left."""

    offset_B1: np.ndarray
    place_E: np.ndarray
    whole_row_E: np.ndarray
    whole_group_E: np.ndarray

    @classmethod
    def of(cls, item_N: np.ndarray, groups: _Groups, exclude_BX: np.ndarray | None) -> _Excluded:
        """Of items, whether they are indexed or not, and however often they come."""
        nothing = np.zeros(0, dtype=np.int64)
        if exclude_BX is None or not len(item_N):
            rows = 0 if exclude_BX is None else len(exclude_BX)
            return cls(np.zeros(rows + 1, dtype=np.int64), nothing, nothing, nothing)
        place_BX = np.minimum(np.searchsorted(item_N, exclude_BX), len(item_N) - 1)
        row, column = np.nonzero(item_N[place_BX] == exclude_BX)
        N, G = len(item_N), len(groups.offset_G1) - 1
        row, place = np.divmod(np.unique(row * np.int64(N) + place_BX[row, column]), N)
        key, count = np.unique(row * np.int64(G) + groups.group_N[place], return_counts=True)
        whole_row, whole_group = np.divmod(key, G)
        is_whole = count == np.diff(groups.offset_G1)[whole_group]
        offset = np.searchsorted(row, np.arange(len(exclude_BX) + 1))
        return cls(offset, place, whole_row[is_whole], whole_group[is_whole])

    def places(self, row: int) -> np.ndarray:
        """Excluded places of one request; none where nothing is excluded at all."""
        return self.place_E[self.offset_B1[row] : self.offset_B1[row + 1]] if len(self.place_E) else self.place_E
