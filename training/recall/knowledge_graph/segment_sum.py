"""Sums over nodes 0..N-1, in time proportional to the number of values instead of the number of nodes.

Compiled, because a walk adds a few ten thousand values per request. Each thread has its own scratch arrays over all nodes. Sums
are zero between calls. The table, which maps each node to its position among the nodes of a call, is never cleared: entries
of earlier calls are recognized because the position does not hold that node.

Legend: N nodes, M values or edges, A distinct nodes among them, S source nodes.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.engine.numba_compile import compiled

Array = NDArray[Any]

NO_CODE = -1
"""Code of no edge."""
DENSE_FACTOR = 16
"""With fewer than DENSE_FACTOR nodes per sum, looking for sums above 0 is faster than sorting their nodes."""


class Edges(NamedTuple):
    """Weighted edges, sorted by source: those out of node n are from `offset_N1[n]` to `offset_N1[n + 1]`."""

    offset_N1: Array
    target_M: Array
    weight_M: Array


class SegmentSum:
    """Sums by node. Thread-safe.

    Args:
        nodes: N.
    """

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._local = threading.local()

    def sum_by_node(self, node_M: Array, value_M: Array) -> tuple[Array, Array]:
        """Distinct nodes [A], ascending, and the sum of the values of each, added in the given order.

        Nodes whose sum is not positive are left out.
        """
        sum_N, node_A = self._sums()
        return self._take_sums(_add_values(node_M, value_M, sum_N, node_A))

    def pass_on(self, node_S: Array, value_S: Array, edges: Edges, code_M: Array, skipped: int) -> tuple[Array, Array]:
        """Sums by target node of the positive values that nodes pass on, each multiplied by the weight of the edge.

        Args:
            node_S: Source nodes.
            value_S: Their values.
            edges: Edges between nodes.
            code_M: Code of each edge.
            skipped: Code of edges that are left out; NO_CODE for none.

        Returns:
            Nodes [A], ascending, and their sums.
        """
        sum_N, node_A = self._sums()
        return self._take_sums(_add_flows(node_S, value_S, edges, code_M, skipped, sum_N, node_A))

    def positions_of(self, node_A: Array, query_nodes: Array) -> Array:
        """Positions of `query_nodes` in the distinct nodes `node_A`; query nodes that are not in it are left out."""
        return self.find(node_A, query_nodes)[1]

    def find(self, node_A: Array, query_M: Array) -> tuple[Array, Array]:
        """Which query nodes are among the distinct nodes `node_A`, and the position there of each of these."""
        table = self.table_of(node_A)
        place_M = table[query_M]
        within = (place_M < len(node_A)).nonzero()[0]
        found = within[node_A[place_M[within]] == query_M[within]]
        return found, place_M[found]

    def last_occurrence_mask(self, node_M: Array) -> Array:
        """Whether each position holds the last occurrence of its node, bool [M]."""
        table, number_M = self._table(), np.arange(len(node_M), dtype=np.int32)
        table[node_M] = number_M
        is_last_M: Array = table[node_M] == number_M
        return is_last_M

    def table_of(self, node_A: Array) -> Array:
        """Table [N] with the position of each of the distinct nodes `node_A`, until the next call of this thread.

        Other nodes have any position: check that `node_A` holds the node there.
        """
        table = self._table()
        table[node_A] = np.arange(len(node_A), dtype=np.int32)
        return table

    def _table(self) -> Array:
        if not hasattr(self._local, "table"):
            self._local.table = np.zeros(self._nodes, dtype=np.int32)
        table: Array = self._local.table
        return table

    def _sums(self) -> tuple[Array, Array]:
        """Zeros [N], and room for as many nodes."""
        if not hasattr(self._local, "sum_N"):
            self._local.sum_N, self._local.node_A = np.zeros(self._nodes), np.zeros(self._nodes, dtype=np.int32)
        return self._local.sum_N, self._local.node_A

    def _take_sums(self, count: int) -> tuple[Array, Array]:
        """The nodes and sums that were added, and zeros in their place."""
        sum_N, node_A = self._sums()
        is_dense = self._nodes < DENSE_FACTOR * count
        node = np.flatnonzero(sum_N > 0) if is_dense else np.sort(node_A[:count]).astype(np.int64)
        total = sum_N[node]
        sum_N[node] = 0.0
        return node, total


@compiled
def _add_values(node_M: Array, value_M: Array, sum_N: Array, node_A: Array) -> int:
    """Add positive values to `sum_N`, write their distinct nodes into `node_A`, and return how many these are."""
    count = 0
    for number in range(len(node_M)):
        node, value = node_M[number], value_M[number]
        if value > 0:
            if sum_N[node] == 0:
                node_A[count] = node
                count += 1
            sum_N[node] += value
    return count


@compiled
def _add_flows(
    node_S: Array, value_S: Array, edges: Edges, code_M: Array, skipped: int, sum_N: Array, node_A: Array
) -> int:
    """See `_add_values`, of the flows along edges."""
    offset_N1, target_M, weight_M = edges
    count = 0
    for source in range(len(node_S)):
        value = value_S[source]
        for edge in range(offset_N1[node_S[source]], offset_N1[node_S[source] + 1]):
            flow = weight_M[edge] * value
            if flow > 0 and code_M[edge] != skipped:
                target = target_M[edge]
                if sum_N[target] == 0:
                    node_A[count] = target
                    count += 1
                sum_N[target] += flow
    return count
