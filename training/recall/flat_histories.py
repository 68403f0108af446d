"""Listening histories of many users in one flat array.

Legend: U users, P listens of all users, I items.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Histories:
    """Listened items of U users, oldest first: those of user u are `item_P[offset_U1[u]:offset_U1[u + 1]]`.

    Hash and equality are by content, so that histories can be keys of a cache.
    """

    item_P: Array
    offset_U1: Array

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.item_P.tobytes() + b"|" + self.offset_U1.tobytes()).hexdigest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histories) and self.digest == other.digest

    @cached_property
    def items(self) -> Array:
        """The I distinct items, ascending."""
        return np.unique(self.item_P)

    def restrict_to(self, items: Array) -> Histories:
        """The histories without items that are not in `items`."""
        is_kept_P = np.isin(self.item_P, items)
        return Histories(self.item_P[is_kept_P], np.append(0, np.cumsum(is_kept_P))[self.offset_U1])

    def take(self, rows: Array) -> Histories:
        """The histories of some users, in the order of `rows`."""
        lists = [self.item_P[self.offset_U1[row] : self.offset_U1[row + 1]] for row in rows]
        counts = np.diff(self.offset_U1)[rows]
        return Histories(np.concatenate([np.zeros(0, dtype=np.int64), *lists]), np.append(0, np.cumsum(counts)))

    def to_decayed_matrix(self, items: Array, decay: float) -> csr_array:
        """Sparse matrix [U, I] with the sum of exp(-decay · d) over listens, d = listens after it in the history.

        Args:
            items: Items of the columns, ascending; other items are ignored.
            decay: Decay per listen.
        """
        age_P = self.offset_U1[1:].repeat(np.diff(self.offset_U1)) - 1 - np.arange(len(self.item_P))
        user_P = np.repeat(np.arange(len(self.offset_U1) - 1), np.diff(self.offset_U1))
        column_P = np.minimum(np.searchsorted(items, self.item_P), max(len(items) - 1, 0))
        kept = np.flatnonzero(items[column_P] == self.item_P) if len(items) else np.zeros(0, dtype=np.int64)
        weight = np.exp(-decay * age_P[kept]).astype(np.float32)
        return csr_array((weight, (user_P[kept], column_P[kept])), shape=(len(self.offset_U1) - 1, len(items)))


def concatenate_histories(parts: Sequence[Histories]) -> Histories:
    """The histories of all parts, one part after the other."""
    counts = np.concatenate([np.zeros(1, dtype=np.int64), *(np.diff(part.offset_U1) for part in parts)])
    return Histories(np.concatenate([np.zeros(0, dtype=np.int64), *(part.item_P for part in parts)]), counts.cumsum())
