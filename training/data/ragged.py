"""Lists of different lengths, flat: what most of the arrays of cases and tracks are kept in. Knows numpy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ragged:
    """C lists of items, flat: list c is `items[offset_C1[c]:offset_C1[c + 1]]`."""

    items: np.ndarray
    offset_C1: np.ndarray

    @classmethod
    def of(cls, items: np.ndarray, list_of_items: np.ndarray, lists: int) -> Ragged:
        """So many lists of items that lie one list after the other."""
        counts = np.bincount(list_of_items, minlength=lists)
        return cls(items.astype(np.int64), np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

    def __getitem__(self, case: int) -> np.ndarray:
        """The items of one case, in order."""
        return self.items[self.offset_C1[case] : self.offset_C1[case + 1]]

    @property
    def count_C(self) -> np.ndarray:
        """Length of each list."""
        return np.diff(self.offset_C1)

    @property
    def case_per_item(self) -> np.ndarray:
        """The case of every flat item."""
        return np.repeat(np.arange(len(self.offset_C1) - 1), self.count_C)

    def contains(self, items_CK: np.ndarray) -> np.ndarray:
        """Whether each of K items is in its row's list, bool [C, K]; none (0) never is."""
        size = int(max(items_CK.max(initial=0), self.items.max(initial=0))) + 1
        held = np.unique(self.case_per_item * size + self.items)
        if len(held) == 0:
            return np.zeros(items_CK.shape, dtype=bool)
        asked_CK = np.arange(len(items_CK))[:, None] * size + items_CK
        place_CK = np.minimum(np.searchsorted(held, asked_CK), len(held) - 1)
        is_held_CK: np.ndarray = (held[place_CK] == asked_CK) & (items_CK > 0)
        return is_held_CK

    def take(self, rows: np.ndarray) -> Ragged:
        """The lists of `rows`, in that order."""
        lists = [self[row] for row in rows]
        offset = np.concatenate([[0], np.cumsum([len(one) for one in lists], dtype=np.int64)])
        return Ragged(np.concatenate([*lists, np.zeros(0, dtype=np.int64)]).astype(np.int64), offset.astype(np.int64))
