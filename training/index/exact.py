"""Items whose vectors have the largest inner products with queries; exactly, by looking at all of them.

Legend: N indexed items, G groups of equal ones, B rows of Q queries, R = B · Q, K results, D width. Knows nothing about
what the vectors mean.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch

from training.index.duplicate_vectors import DuplicateVectorGroups
from training.index.int8_prefilter import Int8Prefilter, has_fast_int8_matmul

GROUPS_PER_CHUNK = 16_384
"""So many groups' scores by all queries stay in the processor's cache until only the best of each row is left."""
SCORES_PER_CHUNK = 16_777_216
"""Rows are searched so few at a time that their scores take 64 MiB at most."""
MIN_GROUPS_FOR_PREFILTER = 8_192
"""So many groups are searched in bytes first; fewer are scored as fast as they are rounded."""


@dataclass(frozen=True)
class Index(ABC):
    """Anything that finds the best items for a query. An index never changes: whoever searches one may go on while
    another is made from it.

    Items of one vector (tracks too rare for a vector of their own have their artist's) are searched as one: on a log
    with a long tail that is a third of the work.
    """

    items: DuplicateVectorGroups

    def search(
        self, query_BD: torch.Tensor, k: int, exclude_BX: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Items int64 [B, K] and scores float32 [B, K], best first, ties by smaller item; 0 and -inf beyond the last
        item. `exclude_BX`: items that a row must not get.
        """
        return self.search_best(query_BD[:, None], k, exclude_BX)

    @torch.no_grad()
    def search_best(
        self, query_BQD: torch.Tensor, k: int, exclude_BX: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As if each of Q queries of a row were searched alone and an item of several lists counted by its best score.
        No query finds nothing.
        """
        B, Q, _ = query_BQD.shape
        items, values = np.zeros((B, k), dtype=np.int64), np.full((B, k), -np.inf, dtype=np.float32)
        if not len(self.items) or not Q:
            return items, values
        left_out = np.zeros((B, 0), dtype=np.int64) if exclude_BX is None else exclude_BX
        excluded = [self.items.find_excluded(items_X) for items_X in left_out]
        best = self._best_groups(query_BQD.detach().numpy(), k, [groups for _, groups in excluded])
        for row, ((group, score), (places, _)) in enumerate(zip(best, excluded, strict=True)):
            found, value = self._top_items(group, score, places, k)
            items[row, : len(found)], values[row, : len(found)] = found, value
        return items, values

    @abstractmethod
    def with_items(self, items: np.ndarray, vector_ND: torch.Tensor) -> Self:
        """This index and new items with their vectors, float32.

        Raises:
            ValueError: an item is indexed already, or comes twice.
        """

    def without(self, items: np.ndarray) -> Self:
        """This index but `items`, whether they are indexed or not."""
        return replace(self, items=self.items.without(items))

    @abstractmethod
    def _best_groups(
        self, query_BQD: np.ndarray, k: int, excluded: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each row the best `k` groups that are not excluded, those that equal the last of them and perhaps more,
        and their scores. As each of them has an item to give, they hold all of the answer.
        """

    def _top_items(
        self, group: np.ndarray, score: np.ndarray, excluded: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best `k` items of the groups, without the excluded places, and their scores."""
        place, of = self.items.members(group)
        if len(excluded):
            kept = excluded[np.minimum(np.searchsorted(excluded, place), len(excluded) - 1)] != place
            place, of = place[kept], of[kept]
        item, score = self.items.item_N[place], score[of]
        if len(item) > k:  # sorting a few is most of what is left to do
            is_best = score >= kth_best_score(score, k)
            item, score = item[is_best], score[is_best]
        # Equal scores in the order of the items, so that the same request always gets the same answer.
        best = np.lexsort((item, -score))[:k]
        return item[best], score[best]


@dataclass(frozen=True)
class ExactIndex(Index):
    """`vector_GD` float32 in one piece: gathering it in every search would take longer than multiplying it."""

    vector_GD: np.ndarray

    @classmethod
    def of(cls, item_N: np.ndarray, vector_ND: torch.Tensor) -> ExactIndex:
        """Of distinct items int64 and their vectors float32."""
        row_ND = vector_ND.detach().numpy()
        items, first = DuplicateVectorGroups.of(item_N, row_ND)
        return cls(items, row_ND[first])

    def with_items(self, items: np.ndarray, vector_ND: torch.Tensor) -> ExactIndex:
        """See `Index`."""
        row_ND = vector_ND.detach().numpy()
        more, first = self.items.with_items(items, row_ND)
        return ExactIndex(more, np.concatenate([self.vector_GD, row_ND[first]]))

    @torch.no_grad()
    def scores(self, query_BD: torch.Tensor) -> np.ndarray:
        """The score of every item, in the order of `items.item_N`, float32 [B, N]."""
        if not len(self.items):
            return np.zeros((len(query_BD), 0), dtype=np.float32)
        # Rows in one piece, which a plain index of columns does not give.
        return np.take(self._scores(query_BD[:, None].detach().numpy()), self.items.group_N, axis=1)

    def _best_groups(
        self, query_BQD: np.ndarray, k: int, excluded: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        at_once = max(SCORES_PER_CHUNK // len(self.items), 1)
        for start in range(0, len(query_BQD), at_once):
            some = slice(start, start + at_once)
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
        self, rounded: Int8Prefilter, query_BQD: np.ndarray, k: int, excluded: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The same, of those groups alone that may be among the best by their rounded scores."""
        whole_BG, slack_B = rounded.scores(query_BQD)
        nothing = np.iinfo(np.int32).min
        for query_QD, whole_G, slack, groups in zip(query_BQD, whole_BG.numpy(), slack_B, excluded, strict=True):
            whole_G[groups] = nothing
            # The k-th best may be as much less than it seems as another is more.
            least = max(np.floor(kth_best_score(whole_G, k) - 2 * slack), nothing + 1)
            group = np.flatnonzero(whole_G >= np.int32(least))
            score = (self.vector_GD[group] @ query_QD.T).max(1)
            is_best = score >= kth_best_score(score, k)
            yield group[is_best], score[is_best]

    @cached_property
    def _prefilter(self) -> Int8Prefilter | None:
        if len(self.items) < MIN_GROUPS_FOR_PREFILTER or not has_fast_int8_matmul():
            return None
        return Int8Prefilter.of(self.vector_GD)

    def _scores(self, query_BQD: np.ndarray) -> np.ndarray:
        """Of each group the best score by a row's queries, [B, G]."""
        B, Q, D = query_BQD.shape
        query_DR = query_BQD.reshape(B * Q, D).T
        score_BG = np.empty((B, len(self.items)), dtype=np.float32)
        for start in range(0, score_BG.shape[1], GROUPS_PER_CHUNK):
            some = slice(start, start + GROUPS_PER_CHUNK)
            # NumPy's product of so many rows with so few columns takes half the time of torch's, torch's maximum over
            # so few columns a fifth of NumPy's.
            score_GR = self.vector_GD[some] @ query_DR
            best_GB = torch.from_numpy(score_GR).view(-1, B, Q).amax(2).numpy() if Q > 1 else score_GR
            score_BG[:, some] = best_GB.T
        return score_BG


def kth_best_score(score_G: np.ndarray, k: int) -> float:
    """The `k`-th best score, of fewer the least; -infinity of none."""
    if not len(score_G):
        return -np.inf
    score_G, place = score_G.copy(), max(len(score_G) - k, 0)
    score_G.partition(place)
    return float(score_G[place])
