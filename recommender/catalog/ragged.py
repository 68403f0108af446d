"""Lists of different lengths stored as one flat array: the format of most arrays of cases and tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recommender.catalog.arrays import is_among


@dataclass(frozen=True)
class Ragged:
    """C lists of items, flat: list c is `items[offset_C1[c]:offset_C1[c + 1]]`."""

    items: np.ndarray
    offset_C1: np.ndarray

    @classmethod
    def of(cls, items: np.ndarray, list_of_items: np.ndarray, lists: int) -> Ragged:
        """Lists from items that are already sorted by list.

        Args:
            items: The items of all lists, one list after the other.
            list_of_items: Index of each item's list, ascending.
            lists: Number of lists; lists without items are empty.
        """
        counts = np.bincount(list_of_items, minlength=lists)
        return cls(items.astype(np.int64), np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

    @classmethod
    def of_lists(cls, lists: Sequence[np.ndarray]) -> Ragged:
        """These lists, in order."""
        items = np.concatenate([np.zeros(0, dtype=np.int64), *lists])
        return cls(items.astype(np.int64), np.cumsum([0, *map(len, lists)], dtype=np.int64))

    def __getitem__(self, case: int) -> np.ndarray:
        """The items of one case, in order."""
        return self.items[self.offset_C1[case] : self.offset_C1[case + 1]]

    @property
    def count_C(self) -> np.ndarray:
        """Length of each list."""
        return np.diff(self.offset_C1)

    @property
    def case_per_item(self) -> np.ndarray:
        """Case index of every flat item."""
        return np.repeat(np.arange(len(self.offset_C1) - 1), self.count_C)

    def contains(self, items_CK: np.ndarray) -> np.ndarray:
        """Whether each of K items is in its row's list, bool [C, K]; padding (0) never is."""
        size = int(max(items_CK.max(initial=0), self.items.max(initial=0))) + 1
        query_CK = np.arange(len(items_CK))[:, None] * size + items_CK
        return is_among(query_CK, self.case_per_item * size + self.items) & (items_CK > 0)

    def take(self, rows: np.ndarray) -> Ragged:
        """The lists of `rows`, in that order."""
        return Ragged.of_lists([self[row] for row in rows])


def concatenate_ranges(begin_R: np.ndarray, end_R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The integers of R half-open ranges, one range after the other.

    Returns:
        All N integers [N], and for each the index of its range [N].
    """
    count_R = end_R - begin_R
    range_N = np.arange(len(count_R)).repeat(count_R)
    return np.arange(len(range_N)) + (begin_R - count_R.cumsum() + count_R)[range_N], range_N


def concatenate_ragged(parts: Sequence[Ragged]) -> Ragged:
    """The lists of all parts, one part after the other."""
    items = np.concatenate([np.zeros(0, dtype=np.int64), *(part.items for part in parts)])
    counts = np.concatenate([np.zeros(1, dtype=np.int64), *(part.count_C for part in parts)])
    return Ragged(items, counts.cumsum())
