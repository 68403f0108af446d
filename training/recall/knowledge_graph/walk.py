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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.data.ragged import concatenate_ranges
from training.data.unique_keys import first_occurrence_mask
from training.recall.knowledge_graph.config import PERFORMED_BY, WalkConfig
from training.recall.knowledge_graph.graph import KnowledgeGraph
from training.recall.knowledge_graph.segment_sum import NO_CODE, Edges, SegmentSum


@dataclass(frozen=True)
class Step:
    """One hop of a path: from `source` to `target`; `is_forward` if the triple is read from head to tail."""

    source: int
    relation: str
    is_forward: bool
    target: int


@dataclass(frozen=True)
class WalkGraph:
    """Pruned and weighted directed edges, sorted by source; `relation_code_M` is 2 · relation, + 1 for backward edges."""

    graph: KnowledgeGraph
    config: WalkConfig
    offset_N1: np.ndarray
    target_M: np.ndarray
    weight_M: np.ndarray
    relation_code_M: np.ndarray

    @classmethod
    def build(cls, graph: KnowledgeGraph, listeners_V: np.ndarray, config: WalkConfig) -> WalkGraph:
        """The `fan_out` heaviest edges of each node, relation and direction, ties by smaller node.

        Args:
            graph: The knowledge graph.
            listeners_V: Number of users who listened to each track, for the weights of edges to tracks and artists.
            config: Weights and limits.
        """
        edges = graph.directed_edges
        weight = edges.strength_M * _node_weights(graph, listeners_V, config.popularity, config.damping)[edges.target_M]
        is_derived = np.isin(edges.relation_code_M // 2, graph.one_way_relations)
        weight[is_derived] = edges.strength_M[is_derived]
        total_G = np.add.reduceat(weight, edges.group_G) if len(weight) else weight
        share = weight / total_G[edges.group_M] ** config.damping if len(weight) else weight
        by_relation = np.array([config.weight(name) for name in graph.relations] or [0.0])
        flow = by_relation[edges.relation_code_M // 2] * share
        kept = (flow > 0) & _top_weight_mask(weight, edges.group_G, edges.group_M, config.fan_out)
        counts = np.bincount(edges.source_M[kept], minlength=len(graph))
        offset = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(graph, config, offset, edges.target_M[kept], flow[kept], edges.relation_code_M[kept])

    def prepare(self) -> None:
        """Sort the edges by target in advance, so that the first `shortest_path` is not slower."""
        _ = self._reverse_edges

    @cached_property
    def segment_sum(self) -> SegmentSum:
        """Sums by node of the graph."""
        return SegmentSum(len(self.graph))

    @cached_property
    def _to_performer(self) -> int:
        relations = self.graph.relations
        return 2 * relations.index(PERFORMED_BY) if PERFORMED_BY in relations else NO_CODE

    def performers(self, track_S: np.ndarray, activation_S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Artists of tracks, ascending, and the summed activation of their tracks."""
        edge, place = self.edges(track_S)
        is_performer = self.relation_code_M[edge] == self._to_performer
        artist, given = self.segment_sum.sum_by_node(
            self.target_M[edge[is_performer]], activation_S[place[is_performer]]
        )
        return artist.astype(np.int64), given

    def spread_activation(self, start_S: np.ndarray, activation_S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tracks, ascending, and the positive activation that reaches each, summed over all walks of 1 to `hops` hops.

        After each hop only the `frontier` most active tracks, and as many other nodes, pass activation on.
        """
        tracks, flows = [], []
        node, activation = start_S, activation_S
        edges = Edges(self.offset_N1, self.target_M, self.weight_M)
        for hop in range(self.config.hops):
            # The artists of the user's tracks are start nodes themselves.
            skipped = self._to_performer if hop == 0 else NO_CODE
            node, activation = self.segment_sum.pass_on(node, activation, edges, self.relation_code_M, skipped)
            first_other = int(np.searchsorted(node, self.graph.first_artist))
            tracks.append(node[:first_other])
            flows.append(activation[:first_other])
            if hop + 1 < self.config.hops:
                most = self.config.frontier
                others = first_other + top_k_ascending(activation[first_other:], most)
                places = np.concatenate([top_k_ascending(activation[:first_other], most), others])
                node, activation = node[places], activation[places]
        return self.segment_sum.sum_by_node(np.concatenate(tracks), np.concatenate(flows))

    def shortest_path(self, start_S: np.ndarray, activation_S: np.ndarray, item: int) -> list[Step]:
        """The path with the fewest hops from a start node to `item`, of these the one that carries most activation.

        The search goes backward from the item, because items rarely have many neighbors.

        Returns:
            The steps from the start node to the item; empty if there is no path.
        """
        starts = dict(zip(start_S.tolist(), activation_S.tolist(), strict=True))
        carried: dict[int, float] = {item: 1.0}
        steps: list[dict[int, tuple[int, int]]] = []  # per hop: node → code of the edge and its target
        for _ in range(self.config.hops):
            node = np.array(sorted(carried), dtype=np.int64)
            value = np.array([carried[one] for one in node.tolist()])
            edge, place, source = self._edges_into(node)
            on = self.relation_code_M[edge] != self._to_performer
            # The artist of a start node is a start node, so a path does not begin with that step.
            on |= [one not in starts for one in source.tolist()]  # ten times faster than `np.isin`
            edge, place, source = edge[on], place[on], source[on]
            gives = self.weight_M[edge] * value[place]
            order = np.lexsort((node[place], -gives, source))
            best = order[first_occurrence_mask(source[order])]
            source = source[best]
            carried = dict(zip(source.tolist(), gives[best].tolist(), strict=True))
            targets = node[place[best]].tolist()
            steps.append(
                dict(
                    zip(
                        source.tolist(),
                        zip(self.relation_code_M[edge[best]].tolist(), targets, strict=True),
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

    def edges(self, node: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Edges out of the nodes, and for each edge the position of its source in `node`."""
        return concatenate_ranges(self.offset_N1[node], self.offset_N1[node + 1])

    @cached_property
    def _reverse_edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        order = np.argsort(self.target_M, kind="stable")
        counts = np.bincount(self.target_M, minlength=len(self.graph))
        source = np.repeat(np.arange(len(self.graph)), np.diff(self.offset_N1))
        return np.concatenate([[0], np.cumsum(counts)]), order, source

    def _edges_into(self, node: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Edges into the nodes, and for each edge the position of its target in `node` and its source."""
        offset_N1, order_M, source_M = self._reverse_edges
        position, place = concatenate_ranges(offset_N1[node], offset_N1[node + 1])
        edge = order_M[position]
        return edge, place, source_M[edge]


def top_k_ascending(activation: np.ndarray, count: int) -> np.ndarray:
    """Positions, ascending, of the `count` highest activations, ties by smaller position."""
    if len(activation) <= count:
        return np.arange(len(activation))
    floor = np.partition(activation, len(activation) - count)[len(activation) - count]
    is_kept: np.ndarray = activation > floor
    equal = (activation == floor).nonzero()[0]
    is_kept[equal[: count - np.count_nonzero(is_kept)]] = True
    return np.flatnonzero(is_kept)


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
