"""Nearest items by inner product: exact, in chunks over the catalogue. An approximate index would offer the same
`search`.

Legend: N indexed items, B queries, K results, D width. Knows nothing about what the vectors mean.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    """`item_N` int64 ascending, `vector_ND` float32, `bias_N` float32 added to every score of the item."""

    item_N: np.ndarray
    vector_ND: torch.Tensor
    bias_N: torch.Tensor

    @torch.no_grad()
    def search(
        self, query_BD: torch.Tensor, k: int, exclude_BX: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Index`."""
        row, place = self._places(exclude_BX)
        best_BK = torch.full((len(query_BD), 0), -torch.inf)
        place_BK = torch.zeros((len(query_BD), 0), dtype=torch.int64)
        for start in range(0, len(self.item_N), ITEMS_AT_ONCE):
            end = min(start + ITEMS_AT_ONCE, len(self.item_N))
            score_BN = torch.addmm(self.bias_N[start:end], query_BD, self.vector_ND[start:end].T)
            here = (place >= start) & (place < end)
            score_BN[row[here], place[here] - start] = -torch.inf
            score_BK, found_BK = score_BN.topk(min(k, end - start), dim=1)
            best_BK = torch.cat([best_BK, score_BK], dim=1)
            place_BK = torch.cat([place_BK, found_BK + start], dim=1)
        scores, places = best_BK.numpy(), place_BK.numpy()
        # Equal scores in the order of the items, so that the same request always gets the same answer.
        order = np.lexsort((places, -scores), axis=1)[:, :k]
        items = np.zeros((len(scores), k), dtype=np.int64)
        values = np.full((len(scores), k), -np.inf, dtype=np.float32)
        items[:, : order.shape[1]] = self.item_N[np.take_along_axis(places, order, 1)]
        values[:, : order.shape[1]] = np.take_along_axis(scores, order, 1)
        items[np.isneginf(values)] = 0
        return items, values

    def _places(self, exclude_BX: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Row and index position of everything excluded that is indexed at all."""
        if exclude_BX is None or not len(self.item_N):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        place_BX = np.minimum(np.searchsorted(self.item_N, exclude_BX), len(self.item_N) - 1)
        row, column = np.nonzero(self.item_N[place_BX] == exclude_BX)
        return row, place_BX[row, column]
