"""Sums over the co-occurrence edges of a request's candidates and of the user's newest tracks.

Compiled, because NumPy needs a dozen passes over the edges.

Legend: C candidates, S source tracks, D distinct tracks of the user, K weights or values of a track, V vocabulary, N nodes, M edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.engine.numba_compile import compiled
from training.recall.knowledge_graph.config import HEARD_NEAR
from training.recall.knowledge_graph.segment_sum import NO_CODE, Edges
from training.recall.knowledge_graph.walk import WalkGraph

Array = NDArray[Any]


@dataclass(frozen=True)
class NeighborSums:
    """Sums over the co-occurrence edges out of each candidate."""

    value_CK: Array  # of weight times value of the neighbor
    weight_C: Array
    weight_of_artist_C: Array  # of the edges to tracks of the candidate's artist
    count_C: Array  # number of the edges


class CooccurrenceSums:
    """Sums over co-occurrence edges.

    Args:
        walk_graph: Graph with the edges.
        artist_of_track_V: Artist code of each track.
    """

    def __init__(self, walk_graph: WalkGraph, artist_of_track_V: Array) -> None:
        self._nodes, self._artist_of_track_V = walk_graph.segment_sum, artist_of_track_V
        relations = walk_graph.graph.relations
        code = 2 * relations.index(HEARD_NEAR) if HEARD_NEAR in relations else NO_CODE
        is_near_M = walk_graph.relation_code_M == code
        kept_M1 = np.concatenate([[0], np.cumsum(is_near_M)])
        self._edges = Edges(
            kept_M1[walk_graph.offset_N1], walk_graph.target_M[is_near_M], walk_graph.weight_M[is_near_M]
        )

    def from_sources(self, item_C: Array, source_S: Array, weight_SK: Array) -> Array:
        """Weights of the edges [C, K] from source tracks to each candidate, each times K weights of the source."""
        return _sum_from_sources(item_C, self._nodes.table_of(item_C), source_S, weight_SK, self._edges)

    def of_neighbors(self, item_C: Array, track_D: Array, value_DK: Array) -> NeighborSums:
        """Sums over the neighbors of each candidate, with K values of the user's tracks; of other neighbors they are 0."""
        table_N = self._nodes.table_of(track_D)
        return NeighborSums(*_sum_neighbors(item_C, track_D, table_N, value_DK, self._artist_of_track_V, self._edges))


@compiled
def _sum_from_sources(item_C: Array, table_N: Array, source_S: Array, weight_SK: Array, edges: Edges) -> Array:
    offset_N1, target_M, weight_M = edges
    C, K = len(item_C), weight_SK.shape[1]
    sum_CK = np.zeros((C, K))
    for source in range(len(source_S)):
        for edge in range(offset_N1[source_S[source]], offset_N1[source_S[source] + 1]):
            place = table_N[target_M[edge]]
            if place < C and item_C[place] == target_M[edge]:
                for number in range(K):
                    sum_CK[place, number] += weight_M[edge] * weight_SK[source, number]
    return sum_CK


@compiled
def _sum_neighbors(
    item_C: Array, track_D: Array, table_N: Array, value_DK: Array, artist_of_track_V: Array, edges: Edges
) -> tuple[Array, Array, Array, Array]:
    offset_N1, target_M, weight_M = edges
    C, D, K = len(item_C), len(track_D), value_DK.shape[1]
    value_CK, weight_C, of_artist_C = np.zeros((C, K)), np.zeros(C), np.zeros(C)
    count_C = np.zeros(C, np.int64)
    for candidate in range(C):
        item = item_C[candidate]
        for edge in range(offset_N1[item], offset_N1[item + 1]):
            target, weight = target_M[edge], weight_M[edge]
            weight_C[candidate] += weight
            count_C[candidate] += 1
            if artist_of_track_V[target] == artist_of_track_V[item]:
                of_artist_C[candidate] += weight
            place = table_N[target]
            if place < D and track_D[place] == target:
                for number in range(K):
                    value_CK[candidate, number] += weight * value_DK[place, number]
    return value_CK, weight_C, of_artist_C, count_C
