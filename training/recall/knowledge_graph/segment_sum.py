"""Sums by node in the time that the values take, however many nodes there are.

A table by node says where each stands among a call's own. It is never cleared: what an earlier call has left there is
known by not standing where it says. Legend: N nodes, M values, A distinct nodes of them. Knows nothing about edges.
"""

from __future__ import annotations

import threading

import numpy as np

DENSE_FACTOR = 8
"""With fewer nodes than so many times the values, looking at all of them is faster."""


class SegmentSum:
    """Over nodes 0 .. N - 1; for any thread, each has a table of its own."""

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._local = threading.local()

    def sum_by_node(self, node_M: np.ndarray, value_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distinct nodes [A], ascending, and the sum of the values of each, added in the order given; those whose sum is
        not above 0 are left out.
        """
        if self._nodes < DENSE_FACTOR * len(node_M):
            sum_N = np.bincount(node_M, value_M, self._nodes)
            node_A = np.flatnonzero(sum_N > 0)  # of truth values: ten times as fast
            return node_A, sum_N[node_A]
        node_M = node_M.astype(np.int64)
        table, number_M = self._table(), np.arange(len(node_M), dtype=np.int32)
        table[node_M] = number_M  # of equal nodes the last one stays
        node_A = np.sort(node_M[table[node_M] == number_M])
        table[node_A] = number_M[: len(node_A)]
        sum_A = np.bincount(table[node_M], value_M, len(node_A))
        return node_A[sum_A > 0], sum_A[sum_A > 0]

    def positions_of(self, node_A: np.ndarray, query_nodes: np.ndarray) -> np.ndarray:
        """Where the nodes `asked` for stand among distinct ones, those that are not there left out."""
        table = self._table()
        table[node_A] = np.arange(len(node_A), dtype=np.int32)
        place: np.ndarray = table[query_nodes]
        is_within = place < len(node_A)
        place, query_nodes = place[is_within], query_nodes[is_within]
        found: np.ndarray = place[node_A[place] == query_nodes]
        return found

    def _table(self) -> np.ndarray:
        if not hasattr(self._local, "table"):
            self._local.table = np.zeros(self._nodes, dtype=np.int32)
        table: np.ndarray = self._local.table
        return table
