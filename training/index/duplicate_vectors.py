"""Items of one vector as one group, and what a request must not get of them. Knows nothing about scores.

Legend: N indexed items by their place, M of them that were not taken out, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.data.ragged import concatenate_ranges
from training.data.unique_keys import unique_counts, unique_values


@dataclass(frozen=True)
class DuplicateVectorGroups:
    """Items in groups: the places of group g are `member_M[offset_G1[g]:offset_G1[g + 1]]`, ascending; a group may be
    empty. `place_V[item]` is where an item stands in `item_N`, -1 where nowhere; the last one stands for all larger items.
    """

    item_N: np.ndarray
    group_N: np.ndarray
    member_M: np.ndarray
    offset_G1: np.ndarray
    position_V: np.ndarray

    @classmethod
    def of(cls, item_N: np.ndarray, row_ND: np.ndarray) -> tuple[DuplicateVectorGroups, np.ndarray]:
        """Of distinct items and the rows of a matrix; and the place of each group's first item, ascending."""
        first_G, group_N = _group_duplicate_rows(row_ND)
        return cls._grouped(item_N, group_N, len(first_G), np.ones(len(item_N), dtype=bool)), first_G

    @classmethod
    def _grouped(
        cls, item_N: np.ndarray, group_N: np.ndarray, groups: int, is_kept_N: np.ndarray
    ) -> DuplicateVectorGroups:
        kept = np.flatnonzero(is_kept_N)
        member_M = kept[np.argsort(group_N[kept], kind="stable")]
        offset_G1 = np.concatenate([[0], np.cumsum(np.bincount(group_N[kept], minlength=groups))]).astype(np.int64)
        place_V = np.full(int(item_N.max(initial=0)) + 2, -1, dtype=np.int32)
        place_V[item_N[kept]] = kept
        return cls(item_N, group_N, member_M, offset_G1, place_V)

    def with_items(self, items: np.ndarray, row_ND: np.ndarray) -> tuple[DuplicateVectorGroups, np.ndarray]:
        """These and more, in groups of their own after the groups there are; and the place of each new group's first
        item among the new ones.

        Raises:
            ValueError: an item is here already, or comes twice.
        """
        known, count = np.unique(items, return_counts=True)
        again = known[(self.positions(known) >= 0) | (count > 1)]
        if len(again):
            raise ValueError(f"item {again[0]} is indexed already; take it out first to give it another vector")
        first, group = _group_duplicate_rows(row_ND)
        is_kept = np.concatenate([self._is_kept_N, np.ones(len(items), dtype=bool)])
        item_N, group_N = np.concatenate([self.item_N, items]), np.concatenate([self.group_N, group + len(self)])
        return self._grouped(item_N, group_N, len(self) + len(first), is_kept), first

    def without(self, items: np.ndarray) -> DuplicateVectorGroups:
        """These but `items`, whether they are here or not; the groups keep their numbers."""
        place = self.positions(items)
        is_kept_N = self._is_kept_N
        is_kept_N[place[place >= 0]] = False
        return self._grouped(self.item_N, self.group_N, len(self), is_kept_N)

    @property
    def _is_kept_N(self) -> np.ndarray:
        is_kept_N = np.zeros(len(self.item_N), dtype=bool)
        is_kept_N[self.member_M] = True
        return is_kept_N

    @cached_property
    def _empty_groups(self) -> np.ndarray:
        return np.flatnonzero(np.diff(self.offset_G1) == 0)

    def __len__(self) -> int:
        """G."""
        return len(self.offset_G1) - 1

    def positions(self, items: np.ndarray) -> np.ndarray:
        """Of items of any shape, -1 for one that is not here. A look-up: a search in a sorted list would take twenty
        times as long.
        """
        place: np.ndarray = self.position_V[np.minimum(items, len(self.position_V) - 1)]
        return place

    def members(self, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places of the members of some groups, and for each the place of its group among those asked for."""
        place, of = concatenate_ranges(self.offset_G1[groups], self.offset_G1[groups + 1])
        return self.member_M[place], of

    def find_excluded(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What leaving out items, whether they are here or not and however often they come, leaves out: their places,
        ascending, and the groups that have nothing else; the empty ones are among them.
        """
        place = self.positions(items)
        place = place[place >= 0]
        if not len(place):
            return place, self._empty_groups
        place = unique_values(place)
        group, count = unique_counts(self.group_N[place])
        group = group[count == self.offset_G1[group + 1] - self.offset_G1[group]]
        return place, np.concatenate([group, self._empty_groups]) if len(self._empty_groups) else group


def _group_duplicate_rows(row_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First row of each group, ascending, and the group of each row."""
    as_bytes = np.ascontiguousarray(row_ND).view(np.dtype((np.void, row_ND.shape[1] * row_ND.itemsize))).ravel()
    _, first, group_N = np.unique(as_bytes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank_G = np.empty(len(first), dtype=np.int64)
    rank_G[order] = np.arange(len(first))
    return first[order], rank_G[group_N]
