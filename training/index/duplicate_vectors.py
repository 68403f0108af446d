"""Groups of items with the same vector, searched as one, and exclusions by group.

Legend: N indexed items by position, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.data.ragged import concatenate_ranges
from training.data.unique_keys import unique_counts, unique_values


@dataclass(frozen=True)
class DuplicateVectorGroups:
    """Items with their groups."""

    item_N: np.ndarray
    group_N: np.ndarray  # group of each position
    member_N: np.ndarray  # positions of group g, ascending: member_N[offset_G1[g]:offset_G1[g + 1]]
    offset_G1: np.ndarray
    position_V: np.ndarray  # position of each item in item_N; -1: not indexed. The last entry is used for larger items

    @classmethod
    def of(cls, item_N: np.ndarray, row_ND: np.ndarray) -> tuple[DuplicateVectorGroups, np.ndarray]:
        """Groups of distinct items by equal rows, and the position of each group's first item, ascending."""
        first_G, group_N = _group_duplicate_rows(row_ND)
        member_N = np.argsort(group_N, kind="stable")
        offset_G1 = np.concatenate([[0], np.cumsum(np.bincount(group_N, minlength=len(first_G)))]).astype(np.int64)
        position_V = np.full(int(item_N.max(initial=0)) + 2, -1, dtype=np.int32)
        position_V[item_N] = np.arange(len(item_N))
        return cls(item_N, group_N, member_N, offset_G1, position_V), first_G

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
        return self.member_N[index], group_index

    def find_excluded(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions and groups to skip if `items` are excluded; unknown items and duplicates are ignored.

        Returns:
            Positions of the items, ascending, and the groups that have no other member.
        """
        position = self.positions(items)
        position = position[position >= 0]
        if not len(position):
            return position, position
        position = unique_values(position)
        group, count = unique_counts(self.group_N[position])
        return position, group[count == self.offset_G1[group + 1] - self.offset_G1[group]]


def _group_duplicate_rows(row_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First row of each group of equal rows, ascending, and the group of each row."""
    as_bytes = np.ascontiguousarray(row_ND).view(np.dtype((np.void, row_ND.shape[1] * row_ND.itemsize))).ravel()
    _, first, group_N = np.unique(as_bytes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank_G = np.empty(len(first), dtype=np.int64)
    rank_G[order] = np.arange(len(first))
    return first[order], rank_G[group_N]
