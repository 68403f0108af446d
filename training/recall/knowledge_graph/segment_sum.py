"""Sums of values by node, in time proportional to the number of values instead of the number of nodes.

A scratch table maps each node to its position among the nodes of a call. The table is never cleared: entries of earlier
calls are recognized because the position does not hold that node.

Legend: N nodes, M values, A distinct nodes among them.
"""

from __future__ import annotations

import threading

import numpy as np

DENSE_FACTOR = 8
"""With fewer than DENSE_FACTOR nodes per value, a dense sum over all nodes is faster."""


class SegmentSum:
    """Sums over nodes 0..N-1. Thread-safe: each thread has its own scratch table."""

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._local = threading.local()

    def sum_by_node(self, node_M: np.ndarray, value_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distinct nodes [A], ascending, and the sum of the values of each, added in the given order.

        Nodes whose sum is not positive are left out.
        """
        if self._nodes < DENSE_FACTOR * len(node_M):
            sum_N = np.bincount(node_M, value_M, self._nodes)
            node_A = np.flatnonzero(sum_N > 0)  # `flatnonzero` of booleans is ten times as fast
            return node_A, sum_N[node_A]
        node_M = node_M.astype(np.int64)
        table, number_M = self._table(), np.arange(len(node_M), dtype=np.int32)
        table[node_M] = number_M  # of equal nodes the last position remains
        node_A = np.sort(node_M[table[node_M] == number_M])
        table[node_A] = number_M[: len(node_A)]
        sum_A = np.bincount(table[node_M], value_M, len(node_A))
        return node_A[sum_A > 0], sum_A[sum_A > 0]

    def positions_of(self, node_A: np.ndarray, query_nodes: np.ndarray) -> np.ndarray:
        """Positions of `query_nodes` in the distinct nodes `node_A`; query nodes that are not in it are left out."""
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
