"""Items whose vectors have the largest inner products with queries; exactly, by looking at all of them.

Legend: N indexed items, G groups of equal ones, B rows of Q queries, R = B · Q, K results, D width. Knows nothing about
what the vectors mean.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch

from training.recall.equal_items import EqualItems, Excluded

GROUPS_AT_ONCE = 16_384
"""So many groups' scores by all queries stay in the processor's cache until only the best of each row is left."""
SCORES_AT_ONCE = 16_777_216
"""Rows are searched so few at a time that their scores take 64 MiB at most."""


@dataclass(frozen=True)
class Index(ABC):
    """Anything that finds the best items for a query. An index never changes: whoever searches one may go on while
    another is made from it.

    Items of one vector (tracks too rare for a vector of their own have their artist's) are searched as one: on a log
    with a long tail that is a third of the work.
    """

    items: EqualItems

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
        excluded = self.items.excluded(np.zeros((B, 0), dtype=np.int64) if exclude_BX is None else exclude_BX)
        for row, (group, score) in enumerate(self._best(query_BQD.detach().numpy(), k, excluded)):
            found, value = self._members(group, score, excluded.places(row), k)
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
    def _best(self, query_BQD: np.ndarray, k: int, excluded: Excluded) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each row the best `k` groups that are not excluded, those that equal the last of them and perhaps more,
        and their scores. As each of them has an item to give, they hold all of the answer.
        """

    def _members(
        self, group: np.ndarray, score: np.ndarray, excluded: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best `k` items of the groups, without the excluded places, and their scores."""
        place, of = self.items.members(group)
        if len(excluded):
            kept = excluded[np.minimum(np.searchsorted(excluded, place), len(excluded) - 1)] != place
            place, of = place[kept], of[kept]
        item, score = self.items.item_N[place], score[of]
        # Equal scores in the order of the items, so that the same request always gets the same answer.
        best = np.lexsort((item, -score))[:k]
        return item[best], score[best]


@dataclass(frozen=True)
class ExactIndex(Index):
    """`vector_GD` float32 in one piece: gathering it in every search would take longer than multiplying it. `bias_G` is
    added to every score of a group.
    """

    vector_GD: np.ndarray
    bias_G: np.ndarray

    @classmethod
    def of(cls, item_N: np.ndarray, vector_ND: torch.Tensor, bias_N: torch.Tensor | None = None) -> ExactIndex:
        """Of distinct items int64, their vectors float32, and what is added to their scores (None: nothing)."""
        rows, bias = _rows(vector_ND, bias_N)
        items, first = EqualItems.of(item_N, np.concatenate([rows, bias[:, None]], axis=1))
        return cls(items, rows[first], bias[first])

    def with_items(self, items: np.ndarray, vector_ND: torch.Tensor, bias_N: torch.Tensor | None = None) -> ExactIndex:
        """See `Index`."""
        rows, bias = _rows(vector_ND, bias_N)
        more, first = self.items.with_items(items, np.concatenate([rows, bias[:, None]], axis=1))
        return ExactIndex(
            more, np.concatenate([self.vector_GD, rows[first]]), np.concatenate([self.bias_G, bias[first]])
        )

    def _best(self, query_BQD: np.ndarray, k: int, excluded: Excluded) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        at_once = max(SCORES_AT_ONCE // len(self.items), 1)
        for start in range(0, len(query_BQD), at_once):
            for row, score_G in enumerate(self._scores(query_BQD[start : start + at_once]), start=start):
                score_G[excluded.groups(row)] = -np.inf
                group = np.flatnonzero((score_G >= _bound(score_G, k)) & (score_G > -np.inf))
                yield group, score_G[group]

    def _scores(self, query_BQD: np.ndarray) -> np.ndarray:
        """Of each group the best score by a row's queries, [B, G]."""
        B, Q, D = query_BQD.shape
        query_DR = query_BQD.reshape(B * Q, D).T
        score_BG = np.empty((B, len(self.items)), dtype=np.float32)
        for start in range(0, score_BG.shape[1], GROUPS_AT_ONCE):
            some = slice(start, start + GROUPS_AT_ONCE)
            # NumPy's product of so many rows with so few columns takes half the time of torch's, torch's maximum over
            # so few columns a fifth of NumPy's.
            score_GR = self.vector_GD[some] @ query_DR
            best_GB = torch.from_numpy(score_GR).view(-1, B, Q).amax(2).numpy() if Q > 1 else score_GR
            score_BG[:, some] = best_GB.T
        # One number for all queries of a group does not change which is the best.
        score_BG += self.bias_G
        return score_BG


def _rows(vector_ND: torch.Tensor, bias_N: torch.Tensor | None) -> tuple[np.ndarray, np.ndarray]:
    bias = np.zeros(len(vector_ND), dtype=np.float32) if bias_N is None else bias_N.numpy()
    return vector_ND.detach().numpy(), bias


def _bound(score_G: np.ndarray, k: int) -> float:
    """What at least `k` scores reach, and few more, if there are so many: the k-th best of the best of each block."""
    size = max(len(score_G) // (8 * k), 1)
    best = torch.from_numpy(score_G[: len(score_G) // size * size]).view(-1, size).amax(1)
    return float(best.topk(min(k, len(best))).values[-1])
