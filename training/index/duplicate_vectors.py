"""Groups of items with the same vector, searched as one, and exclusions by group.

Legend: N indexed items by position, M of them that were not removed, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.data.ragged import concatenate_ranges
from training.data.unique_keys import unique_counts, unique_values


@dataclass(frozen=True)
class DuplicateVectorGroups:
    """Items with their groups; a group may be empty after removals."""

    item_N: np.ndarray
    group_N: np.ndarray  # group of each position
    member_M: np.ndarray  # positions of group g, ascending: member_M[offset_G1[g]:offset_G1[g + 1]]
    offset_G1: np.ndarray
    position_V: np.ndarray  # position of each item in item_N; -1: not indexed. The last entry is used for larger items

    @classmethod
    def of(cls, item_N: np.ndarray, row_ND: np.ndarray) -> tuple[DuplicateVectorGroups, np.ndarray]:
        """Groups of distinct items by equal rows, and the position of each group's first item, ascending."""
        first_G, group_N = _group_duplicate_rows(row_ND)
        return cls._grouped(item_N, group_N, len(first_G), np.ones(len(item_N), dtype=bool)), first_G

    @classmethod
    def _grouped(
        cls, item_N: np.ndarray, group_N: np.ndarray, groups: int, is_kept_N: np.ndarray
    ) -> DuplicateVectorGroups:
        position_M = np.flatnonzero(is_kept_N)
        member_M = position_M[np.argsort(group_N[position_M], kind="stable")]
        offset_G1 = np.concatenate([[0], np.cumsum(np.bincount(group_N[position_M], minlength=groups))]).astype(
            np.int64
        )
        position_V = np.full(int(item_N.max(initial=0)) + 2, -1, dtype=np.int32)
        position_V[item_N[position_M]] = position_M
        return cls(item_N, group_N, member_M, offset_G1, position_V)

    def with_items(self, items: np.ndarray, row_ND: np.ndarray) -> tuple[DuplicateVectorGroups, np.ndarray]:
        """Add items in new groups, numbered after the existing ones.

        Returns:
            The groups, and the index of each new group's first item among `items`.

        Raises:
            ValueError: an item is indexed already or occurs twice.
        """
        distinct, count = np.unique(items, return_counts=True)
        duplicates = distinct[(self.positions(distinct) >= 0) | (count > 1)]
        if len(duplicates):
            raise ValueError(f"item {duplicates[0]} is indexed already; remove it first to change its vector")
        first, group = _group_duplicate_rows(row_ND)
        is_kept = np.concatenate([self._is_kept_N, np.ones(len(items), dtype=bool)])
        item_N, group_N = np.concatenate([self.item_N, items]), np.concatenate([self.group_N, group + len(self)])
        return self._grouped(item_N, group_N, len(self) + len(first), is_kept), first

    def without(self, items: np.ndarray) -> DuplicateVectorGroups:
        """Remove items; those that are not indexed are ignored. Groups keep their numbers."""
        position = self.positions(items)
        is_kept_N = self._is_kept_N
        is_kept_N[position[position >= 0]] = False
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
        """Number of groups, G."""
        return len(self.offset_G1) - 1

    def positions(self, items: np.ndarray) -> np.ndarray:
        """Positions of items of any shape; -1: not indexed. A table lookup is 20 times as fast as a binary search."""
        position: np.ndarray = self.position_V[np.minimum(items, len(self.position_V) - 1)]
        return position

    def members(self, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the members of some groups, and for each member the index of its group in `groups`."""
        index, group_index = concatenate_ranges(self.offset_G1[groups], self.offset_G1[groups + 1])
        return self.member_M[index], group_index

    def find_excluded(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions and groups to skip if `items` are excluded; unknown items and duplicates are ignored.

        Returns:
            Positions of the items, ascending, and the groups that have no other member, including empty groups.
        """
        position = self.positions(items)
        position = position[position >= 0]
        if not len(position):
            return position, self._empty_groups
        position = unique_values(position)
        group, count = unique_counts(self.group_N[position])
        group = group[count == self.offset_G1[group + 1] - self.offset_G1[group]]
        return position, np.concatenate([group, self._empty_groups]) if len(self._empty_groups) else group


def _group_duplicate_rows(row_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First row of each group of equal rows, ascending, and the group of each row."""
    as_bytes = np.ascontiguousarray(row_ND).view(np.dtype((np.void, row_ND.shape[1] * row_ND.itemsize))).ravel()
    _, first, group_N = np.unique(as_bytes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank_G = np.empty(len(first), dtype=np.int64)
    rank_G[order] = np.arange(len(first))
    return first[order], rank_G[group_N]
