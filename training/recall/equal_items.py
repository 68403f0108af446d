"""Items of one vector as one group, and what a request must not get of them. Knows nothing about scores.

Legend: N indexed items by their place, G groups, B requests, E excluded places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Groups:
    """Places of equal items: group g's are `member_N[offset_G1[g]:offset_G1[g + 1]]`, ascending."""

    member_N: np.ndarray
    offset_G1: np.ndarray
    group_N: np.ndarray

    @classmethod
    def of(cls, row_ND: np.ndarray) -> Groups:
        """Of the rows of a matrix; groups in the order of their first member."""
        as_bytes = np.ascontiguousarray(row_ND).view(np.dtype((np.void, row_ND.shape[1] * row_ND.itemsize))).ravel()
        _, first, group_N = np.unique(as_bytes, return_index=True, return_inverse=True)
        rank_G = np.empty(len(first), dtype=np.int64)
        rank_G[np.argsort(first)] = np.arange(len(first))
        return cls.numbered(rank_G[group_N])

    @classmethod
    def numbered(cls, group_N: np.ndarray) -> Groups:
        """Of a group number for each place, of which none is skipped."""
        offset = np.concatenate([[0], np.cumsum(np.bincount(group_N))]).astype(np.int64)
        return cls(np.argsort(group_N, kind="stable"), offset, group_N)

    def __len__(self) -> int:
        """G."""
        return len(self.offset_G1) - 1

    @property
    def first_G(self) -> np.ndarray:
        """Place of each group's first member."""
        first: np.ndarray = self.member_N[self.offset_G1[:-1]]
        return first

    def members(self, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places of the members of some groups, and for each the place of its group among those asked for."""
        begin, count = self.offset_G1[groups], self.offset_G1[groups + 1] - self.offset_G1[groups]
        of = np.repeat(np.arange(len(groups)), count)
        return self.member_N[np.arange(len(of)) - np.repeat(count.cumsum() - count, count) + begin[of]], of


@dataclass(frozen=True)
class Places:
    """Where each item stands in the index: `place_V[item]`, -1 for one that is not indexed. A search in a sorted list
    would take twenty times as long.
    """

    place_V: np.ndarray

    @classmethod
    def among(cls, item_N: np.ndarray) -> Places:
        """Of distinct items."""
        place_V = np.full(int(item_N.max(initial=0)) + 1, -1, dtype=np.int32)
        place_V[item_N] = np.arange(len(item_N))
        return cls(place_V)

    def of(self, items: np.ndarray) -> np.ndarray:
        """The place of each item, -1 where it has none."""
        place: np.ndarray = self.place_V[np.where(items < len(self.place_V), items, 0)]
        return np.where(items < len(self.place_V), place, -1)


@dataclass(frozen=True)
class Excluded:
    """What each request must not get: indexed places by row, and the groups of which nothing is left, by row too."""

    offset_B1: np.ndarray
    place_E: np.ndarray
    whole_offset_B1: np.ndarray
    whole_group_E: np.ndarray

    @classmethod
    def of(cls, places: Places, groups: Groups, exclude_BX: np.ndarray) -> Excluded:
        """Of items, whether they are indexed or not, and however often they come."""
        N, G, rows = len(groups.group_N), len(groups), np.arange(len(exclude_BX) + 1)
        place_BX = places.of(exclude_BX)
        row, column = np.nonzero(place_BX >= 0)
        row, place = np.divmod(_distinct(row * np.int64(N) + place_BX[row, column])[0], N)
        key, count = _distinct(row * np.int64(G) + groups.group_N[place])
        whole_row, whole_group = np.divmod(key, G)
        is_whole = count == np.diff(groups.offset_G1)[whole_group]
        offset, whole_offset = np.searchsorted(row, rows), np.searchsorted(whole_row[is_whole], rows)
        return cls(offset, place, whole_offset, whole_group[is_whole])

    def places(self, row: int) -> np.ndarray:
        """Excluded places of one request, ascending."""
        return self.place_E[self.offset_B1[row] : self.offset_B1[row + 1]]

    def groups(self, row: int) -> np.ndarray:
        """Groups of which one request must get nothing, ascending."""
        return self.whole_group_E[self.whole_offset_B1[row] : self.whole_offset_B1[row + 1]]


def _distinct(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys, ascending, and how often each comes; `np.unique` takes ten times as long for so many."""
    key.sort()
    first = np.flatnonzero(np.diff(key, prepend=-1))
    return key[first], np.diff(first, append=len(key))
