"""Nearest items by inner product: exact, over the whole catalogue. An approximate index would offer the same `search`.

Legend: N indexed items, G groups of equal ones, B rows of Q queries, R = B · Q, K results, D width. Knows nothing about
what the vectors mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch

from training.recall.equal_items import Excluded, Groups, Places

GROUPS_AT_ONCE = 16_384
"""So many groups' scores by all queries stay in the processor's cache until only the best of each row is left."""
SCORES_AT_ONCE = 16_777_216
"""Rows are searched so few at a time that their scores take 64 MiB at most."""


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
    log with a long tail that is a third of the work.
    """

    item_N: np.ndarray
    vector_ND: torch.Tensor
    bias_N: torch.Tensor

    @cached_property
    def _groups(self) -> Groups:
        return Groups.of(torch.cat([self.vector_ND, self.bias_N[:, None]], dim=1).numpy())

    @cached_property
    def _places(self) -> Places:
        return Places.among(self.item_N)

    @cached_property
    def _vector_GD(self) -> np.ndarray:
        """In one piece: gathering them in every search would take longer than multiplying them."""
        return self.vector_ND.numpy()[self._groups.first_G]

    @cached_property
    def _bias_G1(self) -> np.ndarray:
        return self.bias_N.numpy()[self._groups.first_G, None]

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
        B = len(query_BQD)
        items, values = np.zeros((B, k), dtype=np.int64), np.full((B, k), -np.inf, dtype=np.float32)
        if not len(self.item_N):
            return items, values
        if exclude_BX is None:
            exclude_BX = np.zeros((B, 0), dtype=np.int64)
        excluded = Excluded.of(self._places, self._groups, exclude_BX)
        at_once = max(SCORES_AT_ONCE // len(self._groups), 1)
        for start in range(0, B, at_once):
            score_BG = self._scores(query_BQD[start : start + at_once].detach().numpy())
            for row, score_G in enumerate(score_BG, start=start):
                score_G[excluded.groups(row)] = -np.inf
                found, score = self._members(score_G, excluded.places(row), k)
                items[row, : len(found)], values[row, : len(found)] = found, score
        return items, values

    def _scores(self, query_BQD: np.ndarray) -> np.ndarray:
        """Of each group the best score by a row's queries, [B, G]."""
        B, Q, D = query_BQD.shape
        query_DR = query_BQD.reshape(B * Q, D).T
        score_BG = np.empty((B, len(self._groups)), dtype=np.float32)
        for start in range(0, score_BG.shape[1], GROUPS_AT_ONCE):
            some = slice(start, start + GROUPS_AT_ONCE)
            # NumPy's product of so many rows with so few columns takes half the time of torch's, torch's maximum over
            # so few columns a fifth of NumPy's.
            score_GR = self._vector_GD[some] @ query_DR
            score_GR += self._bias_G1[some]
            best_GB = torch.from_numpy(score_GR).view(-1, B, Q).amax(2).numpy() if Q > 1 else score_GR
            score_BG[:, some] = best_GB.T
        return score_BG

    def _members(self, score_G: np.ndarray, excluded: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The best `k` items of all groups, without the excluded places, and their scores.

        Every group that is not wholly excluded has an item to give, so the best `k` groups and those that equal the
        last of them hold all of the answer.
        """
        group = np.flatnonzero((score_G >= _bound(score_G, k)) & (score_G > -np.inf))
        place, of = self._groups.members(group)
        if len(excluded):
            kept = excluded[np.minimum(np.searchsorted(excluded, place), len(excluded) - 1)] != place
            place, of = place[kept], of[kept]
        score = score_G[group][of]
        # Equal scores in the order of the items, so that the same request always gets the same answer.
        best = np.lexsort((place, -score))[:k]
        return self.item_N[place[best]], score[best]


def _bound(score_G: np.ndarray, k: int) -> float:
    """What at least `k` scores reach, and few more, if there are so many: the k-th best of the best of each block."""
    size = max(len(score_G) // (8 * k), 1)
    best = torch.from_numpy(score_G[: len(score_G) // size * size]).view(-1, size).amax(1)
    return float(best.topk(min(k, len(best))).values[-1])
