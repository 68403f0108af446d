"""Spreading activation over the knowledge graph, and the shortest path to a track.

A hop is one triple, followed in either direction. A walk starts at a track that the user listens to, or at its artist,
and ends at a track after at most three hops: artist ▸ track, track ▸ album ▸ track, or artist ▸ genre ▸ artist ▸ track.
Activation spreads by resource allocation (Zhou, Lü, Zhang, "Predicting missing links via local information", 2009,
arXiv 0901.0553): the activation that a node passes on through a relation is divided among its neighbors, so hubs
contribute little. Differences: the division is proportional to a power of the neighbors' popularity, and every relation
has a weight.

Legend: N nodes, M directed edges, G groups of edges, S start nodes, V vocabulary, A artists.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from config.dataclass_io import Section
from recommender.catalog.arrays import concatenate_ranges, first_occurrence_mask
from recommender.compiled import compiled
from recommender.recall.knowledge_graph.graph import HEARD_NEAR, PERFORMED_BY, KnowledgeGraph
from sequences.sequence_batch import FIRST_CODE

NO_CODE = -1
"""Code of no edge."""
DENSE_FACTOR = 16
"""With fewer than DENSE_FACTOR nodes per sum, looking for sums above 0 is faster than sorting their nodes."""
TINY = np.finfo(np.float64).tiny


class Edges(NamedTuple):
    """Weighted directed edges, sorted by source: those out of node n are from `offset_N1[n]` to `offset_N1[n + 1]`.

    `code_M` is 2 · relation, + 1 for backward edges.
    """

    offset_N1: np.ndarray
    target_M: np.ndarray
    weight_M: np.ndarray
    code_M: np.ndarray


@dataclass(frozen=True)
class WalkConfig(Section):
    """Spreading activation from the user's tracks and artists."""

    hops: int
    fan_out: int
    frontier: int
    max_start_nodes: int
    decay: float
    popularity: float
    damping: float
    default_relation_weight: float
    relation_weights: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Step:
    """One hop of a path: from `source` to `target`; `is_forward` if the triple is read from head to tail."""

    source: int
    relation: str
    is_forward: bool
    target: int


@dataclass(frozen=True)
class WalkGraph:
    """The graph with its pruned and weighted edges."""

    graph: KnowledgeGraph
    config: WalkConfig
    edges: Edges
    _of_thread: threading.local = field(default_factory=threading.local, compare=False, repr=False)

    @property
    def _sum_N(self) -> np.ndarray:
        """Zeros, in which a thread adds and which it leaves as zeros: on large graphs, new ones take longer than a walk."""
        if not hasattr(self._of_thread, "sum_N"):
            self._of_thread.sum_N = np.zeros(len(self.graph))
        return self._of_thread.sum_N

    @classmethod
    def build(cls, graph: KnowledgeGraph, listeners_V: np.ndarray, config: WalkConfig) -> WalkGraph:
        """The `fan_out` heaviest edges of each node, relation and direction, ties by smaller node.

        Args:
            graph: The knowledge graph.
            listeners_V: Number of users who listened to each track, for the weights of edges to tracks and artists.
            config: Weights and limits.
        """
        source_M, target_M, code_M, weight_M = _directed_edges(graph)
        is_popular_M = code_M != 2 * graph.relation_number(HEARD_NEAR)
        weight_N = _node_weights(graph, listeners_V, config.popularity, config.damping)
        weight_M[is_popular_M] *= weight_N[target_M[is_popular_M]]
        # A group is the edges of one source and code.
        is_first_M = (np.diff(source_M, prepend=-1) != 0) | (np.diff(code_M, prepend=-1) != 0)
        group_G, group_M = np.flatnonzero(is_first_M), np.cumsum(is_first_M) - 1
        total_G = np.add.reduceat(weight_M, group_G) if len(weight_M) else weight_M
        weights, default = dict(config.relation_weights), config.default_relation_weight
        by_relation = np.array([weights.get(name, default) for name in graph.relations] or [0.0])
        flow_M = by_relation[code_M // 2] * (weight_M / total_G[group_M] ** config.damping)
        kept_M = (flow_M > 0) & _top_weight_mask(weight_M, group_G, group_M, config.fan_out)
        counts = np.bincount(source_M[kept_M], minlength=len(graph))
        offset = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(graph, config, Edges(offset, target_M[kept_M], flow_M[kept_M], code_M[kept_M]))

    @cached_property
    def _to_performer(self) -> int:
        """The code of the edges from tracks to their artists; without any, a code that no edge has."""
        return 2 * self.graph.relation_number(PERFORMED_BY)

    def performers(self, track_S: np.ndarray, activation_S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Artists of tracks, ascending, and the summed activation of their tracks."""
        return _sum_flows(track_S, activation_S, self.edges, self._to_performer, True, self._sum_N)

    def start_nodes(self, track_L: np.ndarray, age_L: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Nodes at which the walks of a user start, and their activation.

        These are the `max_start_nodes` most active of the listened tracks, and as many of their artists. The activation of
        a track is Σ (seconds since a listen) ** -decay; all tracks are normalized to a sum of 1, and so are all artists,
        before the limit is applied.
        """
        is_known_L = (track_L >= FIRST_CODE) & (track_L < self.graph.first_artist)
        config, options = self.config, (self.edges, self._to_performer, self._sum_N)
        return _start_nodes(track_L[is_known_L], age_L[is_known_L], *options, config.decay, config.max_start_nodes)

    def spread_activation(self, start_S: np.ndarray, activation_S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tracks, ascending, and the positive activation that reaches each, summed over all walks of 1 to `hops` hops.

        After each hop only the `frontier` most active tracks, and as many other nodes, pass activation on.
        """
        limits = self.config.hops, self.config.frontier, self.graph.first_artist
        return _spread(start_S, activation_S, self.edges, self._to_performer, *limits, self._sum_N)

    def shortest_path(self, start_S: np.ndarray, activation_S: np.ndarray, item: int) -> list[Step]:
        """The path with the fewest hops from a start node to `item`, of these the one that carries most activation.

        The search goes backward from the item, because items rarely have many neighbors.

        Returns:
            The steps from the start node to the item; empty if there is no path.
        """
        starts = dict(zip(start_S.tolist(), activation_S.tolist(), strict=True))
        carried: dict[int, float] = {item: 1.0}
        offset_N1, order_M, source_M = self._reverse_edges
        steps: list[dict[int, tuple[int, int]]] = []  # per hop: node → code of the edge and its target
        for _ in range(self.config.hops):
            node = np.array(sorted(carried), dtype=np.int64)
            value = np.array([carried[one] for one in node.tolist()])
            position, place = concatenate_ranges(offset_N1[node], offset_N1[node + 1])
            edge = order_M[position]
            source = source_M[edge]
            on = self.edges.code_M[edge] != self._to_performer
            # The artist of a start node is a start node, so a path does not begin with that step.
            on |= [one not in starts for one in source.tolist()]  # ten times faster than `np.isin`
            edge, place, source = edge[on], place[on], source[on]
            gives = self.edges.weight_M[edge] * value[place]
            order = np.lexsort((node[place], -gives, source))
            best = order[first_occurrence_mask(source[order])]
            source = source[best]
            carried = dict(zip(source.tolist(), gives[best].tolist(), strict=True))
            targets = node[place[best]].tolist()
            steps.append(
                dict(
                    zip(
                        source.tolist(),
                        zip(self.edges.code_M[edge[best]].tolist(), targets, strict=True),
                        strict=True,
                    )
                )
            )
            met = sorted((-carried[one] * starts[one], one) for one in source.tolist() if one in starts)
            if met:
                return self._path(steps, met[0][1])
        return []

    def _path(self, steps: Sequence[Mapping[int, tuple[int, int]]], start: int) -> list[Step]:
        path, node = [], start
        for found in reversed(steps):
            code, target = found[node]
            path.append(Step(node, self.graph.relations[code // 2], code % 2 == 0, target))
            node = target
        return path

    @cached_property
    def _reverse_edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        order = np.argsort(self.edges.target_M, kind="stable")
        counts = np.bincount(self.edges.target_M, minlength=len(self.graph))
        source = np.repeat(np.arange(len(self.graph)), np.diff(self.edges.offset_N1))
        return np.concatenate([[0], np.cumsum(counts)]), order, source


@compiled
def _spread(
    node_S: np.ndarray,
    value_S: np.ndarray,
    edges: Edges,
    performer: int,
    hops: int,
    frontier: int,
    first_other: int,
    sum_N: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """See `WalkGraph.spread_activation`; nodes from `first_other` on are not tracks."""
    item_R, activation_R = np.zeros(0, np.int64), np.zeros(0)
    for hop in range(hops):
        # The artists of the user's tracks are start nodes themselves.
        node_A, sum_A = _sum_flows(node_S, value_S, edges, performer if hop == 0 else NO_CODE, False, sum_N)
        tracks = np.searchsorted(node_A, first_other)
        item_R, activation_R = np.concatenate((item_R, node_A[:tracks])), np.concatenate((activation_R, sum_A[:tracks]))
        others = tracks + top_k_ascending(sum_A[tracks:], frontier)
        places = np.concatenate((top_k_ascending(sum_A[:tracks], frontier), others))
        node_S, value_S = node_A[places], sum_A[places]
    return _sum_by_node(item_R, activation_R, sum_N)


@compiled
def _start_nodes(
    track_L: np.ndarray, age_L: np.ndarray, edges: Edges, performer: int, sum_N: np.ndarray, decay: float, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """See `WalkGraph.start_nodes`; known tracks only."""
    track, of_track = _sum_by_node(track_L, age_L**-decay, sum_N)
    artist, of_artist = _sum_flows(track, of_track, edges, performer, True, sum_N)
    track_best, artist_best = top_k_ascending(of_track, most), top_k_ascending(of_artist, most)
    shares = of_track[track_best] / max(of_track.sum(), TINY), of_artist[artist_best] / max(of_artist.sum(), TINY)
    return np.concatenate((track[track_best], artist[artist_best])), np.concatenate(shares)


@compiled
def _sum_flows(
    node_S: np.ndarray, value_S: np.ndarray, edges: Edges, code: int, is_only: bool, sum_N: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sums by target of the values that nodes pass on, times the weights of the edges that do not have a code.

    With `is_only`, only the edges with the code pass values on, without weights.
    """
    M = (edges.offset_N1[node_S + 1] - edges.offset_N1[node_S]).sum()
    target_M, flow_M, place = np.zeros(M, np.int64), np.zeros(M), 0
    for s in range(len(node_S)):
        for edge in range(edges.offset_N1[node_S[s]], edges.offset_N1[node_S[s] + 1]):
            if (edges.code_M[edge] == code) == is_only:
                target_M[place] = edges.target_M[edge]
                flow_M[place] = value_S[s] if is_only else value_S[s] * edges.weight_M[edge]
                place += 1
    return _sum_by_node(target_M[:place], flow_M[:place], sum_N)


@compiled
def _sum_by_node(node_M: np.ndarray, value_M: np.ndarray, sum_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct nodes, ascending, and the sum of the values of each, added in the given order; positive ones only.

    `sum_N` is zeros, also afterwards.
    """
    node_A, count = np.empty(len(node_M), np.int64), 0
    for m in range(len(node_M)):
        if value_M[m] > 0:
            if sum_N[node_M[m]] == 0:
                node_A[count] = node_M[m]
                count += 1
            sum_N[node_M[m]] += value_M[m]
    is_dense = len(sum_N) < DENSE_FACTOR * count
    node_A = np.flatnonzero(sum_N) if is_dense else np.sort(node_A[:count])
    sum_A = sum_N[node_A]
    sum_N[node_A] = 0
    return node_A, sum_A


@compiled
def top_k_ascending(activation: np.ndarray, count: int) -> np.ndarray:
    """Positions, ascending, of the `count` highest activations, ties by smaller position."""
    size = len(activation)
    if size <= count:
        return np.arange(size)
    floor = np.partition(activation, size - count)[size - count]
    above, equal = np.flatnonzero(activation > floor), np.flatnonzero(activation == floor)
    return np.sort(np.concatenate((above, equal[: count - len(above)])))


def _directed_edges(graph: KnowledgeGraph) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Source, target, code and strength [M] of every triple in both directions, of HEARD_NEAR forward only; sorted by source,
    code and target.
    """
    back_T = graph.relation_T != graph.relation_number(HEARD_NEAR)
    source_M = np.concatenate([graph.head_T, graph.tail_T[back_T]])
    target_M = np.concatenate([graph.tail_T, graph.head_T[back_T]])
    code_M = np.concatenate([2 * graph.relation_T, 2 * graph.relation_T[back_T] + 1])
    strength_M = np.concatenate([graph.strength_T, graph.strength_T[back_T]]).astype(np.float64)
    order = np.lexsort((target_M, code_M, source_M))
    types = np.int32, np.int32, np.int16, np.float64
    columns = zip((source_M, target_M, code_M, strength_M), types, strict=True)
    source_M, target_M, code_M, strength_M = (column_M[order].astype(kind) for column_M, kind in columns)
    return source_M, target_M, code_M, strength_M


def _top_weight_mask(weight_M: np.ndarray, group_G: np.ndarray, group_M: np.ndarray, count: int) -> np.ndarray:
    """Whether each edge is among the `count` heaviest of its group, ties by smaller target, bool [M]."""
    kept_M = np.ones(len(weight_M), dtype=bool)
    size_G = np.diff(np.append(group_G, len(weight_M)))
    # Only the edges of the few large groups have to be sorted.
    large = np.flatnonzero(size_G[group_M] > count) if len(weight_M) else np.zeros(0, dtype=np.int64)
    order = large[np.lexsort((-weight_M[large], group_M[large]))]
    group = group_M[order]
    kept_M[order[np.arange(len(order)) - np.searchsorted(group, group) >= count]] = False
    return kept_M


def _node_weights(graph: KnowledgeGraph, listeners_V: np.ndarray, power: float, damping: float) -> np.ndarray:
    """Weight [N] of an edge to each node: by listeners for tracks and artists, by 1 / degree for all others."""
    degree_N = np.bincount(np.concatenate([graph.head_T, graph.tail_T]), minlength=len(graph))
    weight_N = np.maximum(degree_N, 1.0) ** -damping
    artist = graph.vocabulary.artist_of_track_V
    listeners_A = np.bincount(artist, weights=listeners_V, minlength=graph.vocabulary.artist_count)
    # Half a listener is added so that unplayed tracks can be reached.
    weight_N[: graph.first_artist] = (listeners_V + 0.5) ** power
    weight_N[graph.first_artist : graph.first_entity] = (listeners_A + 0.5) ** power
    return weight_N
