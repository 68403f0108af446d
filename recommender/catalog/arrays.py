"""Sets of integer keys, several times as fast as `np.unique` and `np.isin` for some thousand keys, the best of many scores, and
lists of different lengths.

Legend: N keys or scores, M distinct keys, C cases or lists, I items, R ranges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.array_types import Ints


def unique_values(key_N: np.ndarray) -> np.ndarray:
    """The distinct keys [M]."""
    key_N = key_N.copy()
    key_N.sort()
    return key_N[first_occurrence_mask(key_N)]


def unique_inverse(key_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct keys [M], and for each key its index among them [N]."""
    order = key_N.argsort()
    key_N = key_N[order]
    is_first_N = first_occurrence_mask(key_N)
    index_N = np.empty(len(key_N), dtype=np.int64)
    index_N[order] = is_first_N.cumsum() - 1
    return key_N[is_first_N], index_N


def first_occurrence_mask(sorted_N: np.ndarray) -> np.ndarray:
    """Where a sorted key differs from its predecessor."""
    is_first_N = np.empty(len(sorted_N), dtype=bool)
    is_first_N[:1] = True
    is_first_N[1:] = sorted_N[1:] != sorted_N[:-1]
    return is_first_N


def is_among(key_N: np.ndarray, value_M: np.ndarray) -> np.ndarray:
    """Which of the keys, in any shape, are among the values; several times as fast as `np.isin` for some hundred keys."""
    if not len(value_M):
        return np.zeros(key_N.shape, dtype=bool)
    value_M = np.sort(value_M)
    return value_M[np.minimum(value_M.searchsorted(key_N), len(value_M) - 1)] == key_N


def top_k_positions(score_N: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Positions of the `k` best scores, best first, ties by smaller position; all if there are fewer."""
    place: NDArray[np.int64] = np.arange(len(score_N))
    if len(score_N) > k:
        # Only scores that reach a floor are sorted: the k-th best of the largest scores of at least 4k parts.
        scores_per_part = max(len(score_N) // (4 * k), 1)
        parts = len(score_N) // scores_per_part
        largest_P = score_N[: scores_per_part * parts].reshape(scores_per_part, parts).max(axis=0)
        largest_P.partition(parts - k)
        (place,) = (score_N >= largest_P[parts - k]).nonzero()
    return place[(-score_N[place]).argsort(kind="stable")][:k]


def top_k(scores_IC: NDArray[np.float32], k: int) -> Ints:
    """The `k` highest scoring items of each case [C, k], ties by smaller item; -1 if fewer score above 0."""
    top_CK = np.full((scores_IC.shape[1], k), -1, dtype=np.int64)
    for score_I, top_K in zip(scores_IC.T, top_CK, strict=True):
        best = top_k_positions(score_I, k)
        best = best[score_I[best] > 0]
        top_K[: len(best)] = best
    return top_CK


@dataclass(frozen=True)
class Ragged:
    """C lists of items, flat: list c is `items[offset_C1[c]:offset_C1[c + 1]]`. The format of most arrays of cases and tracks."""

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
