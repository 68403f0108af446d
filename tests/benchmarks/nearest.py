"""Searching many vectors nearly as well as exactly: our lists beside the graph (HNSW) of the same library, and exactly.

Clustered vectors of width 64, as if of tracks around artists around styles, all different; a search asks for the best
200 by 4 queries; one thread. Both indexes are tuned on the same searches until they find what `chosen_index` aims at.
Figures of `run(vectors)`, each beside the graph's:

    index_search        p50 in ms
    index_build         seconds to make it
    index_found         share of the exact first 200 that is found
    index_search_exact  p50 in ms of exact search, beside our lists' time
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from tests.benchmarks.benchmark import Result
from training.recall.approximate_index import _best_by_group
from training.recall.chosen_index import AIM, K, WatchedIndex, agreement, index_of
from training.recall.index import ExactIndex, Index

WIDTH, QUERIES, SEARCHES = 64, 4, 60
STYLES, VECTORS_OF_AN_ARTIST = 200, 8
LINKS, BREADTH, MOST_BREADTH = 32, 80, 2_000
PEER = "HNSW (faiss)"


@dataclass(frozen=True)
class GraphIndex(Index):
    """faiss's graph of vectors, none of which is excluded or equals another."""

    graph: Any

    @classmethod
    def of(cls, exact: ExactIndex) -> GraphIndex:
        """The same vectors."""
        graph = faiss.IndexHNSWFlat(WIDTH, LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = BREADTH
        graph.add(exact.vector_GD)
        return cls(exact.items, graph)

    def tuned(self, watched: WatchedIndex) -> GraphIndex:
        """Looks around as widely as it must to find AIM, or as it may."""
        self.graph.hnsw.efSearch = K
        while agreement(self, watched.searches) < AIM and self.graph.hnsw.efSearch < MOST_BREADTH:
            self.graph.hnsw.efSearch = min(self.graph.hnsw.efSearch * 3 // 2, MOST_BREADTH)
        return self

    def with_items(self, items: np.ndarray, vector_ND: torch.Tensor) -> GraphIndex:
        """Not measured."""
        raise NotImplementedError

    def _best(
        self, query_BQD: np.ndarray, k: int, excluded: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for query_QD in query_BQD:
            score_QK, group_QK = self.graph.search(query_QD, k)
            yield _best_by_group(group_QK[group_QK >= 0], score_QK[group_QK >= 0])


def run(vectors: int) -> list[Result]:
    """All figures, for so many vectors."""
    threads = faiss.omp_get_max_threads()
    try:
        with threadpool_limits(1):
            return _figures(vectors)
    finally:
        faiss.omp_set_num_threads(threads)


def _figures(vectors: int) -> list[Result]:
    random = np.random.default_rng(0)
    vector_ND = _clustered(random, vectors)
    exact = ExactIndex.of(np.arange(vectors), torch.from_numpy(vector_ND))
    near = vector_ND[random.integers(0, vectors, (SEARCHES, QUERIES))]
    query_BQD = torch.from_numpy(_directions(near + 0.12 * random.standard_normal(near.shape, dtype=np.float32)))
    watched = WatchedIndex.over(exact)
    watched.search_best(query_BQD, K)
    index, known = index_of(exact, 0, watched.searches, seed=0)
    began = time.monotonic()
    graph = GraphIndex.of(exact)
    graph_seconds = time.monotonic() - began
    graph = graph.tuned(watched)
    exact_ms, ours_ms, graph_ms = _medians([exact, index, graph], query_BQD)
    return [
        Result.of("index_search", "ms", ours_ms, PEER, graph_ms, is_less_better=True),
        Result.of("index_build", "s", known.get("seconds", 0.0), PEER, graph_seconds, is_less_better=True),
        Result.of("index_found", "of the best", known["recall_at_200"], PEER, agreement(graph, watched.searches)),
        Result.of("index_search_exact", "ms", exact_ms, "our lists", ours_ms, is_less_better=True),
    ]


def _medians(indexes: list[Index], query_BQD: torch.Tensor) -> list[float]:
    """p50 in ms of each, in turns."""
    seconds: list[list[float]] = [[] for _ in indexes]
    for query_QD in query_BQD:
        for index, taken in zip(indexes, seconds, strict=True):
            began = time.perf_counter()
            index.search_best(query_QD[None], K)
            taken.append(time.perf_counter() - began)
    return [statistics.median(taken) * 1000 for taken in seconds]


def _clustered(random: np.random.Generator, count: int) -> np.ndarray:
    """Directions around artists around styles; few artists have many."""
    artists = max(count // VECTORS_OF_AN_ARTIST, 1)
    style_SD = random.standard_normal((STYLES, WIDTH), dtype=np.float32)
    artist_AD = style_SD[random.integers(0, STYLES, artists)]
    artist_AD = artist_AD + random.standard_normal((artists, WIDTH), dtype=np.float32)
    share = (np.arange(artists) + 10.0) ** -0.7
    own_ND = 0.8 * random.standard_normal((count, WIDTH), dtype=np.float32)
    return _directions(artist_AD[random.choice(artists, count, p=share / share.sum())] + own_ND)


def _directions(vector: np.ndarray) -> np.ndarray:
    return (vector / np.linalg.norm(vector, axis=-1, keepdims=True)).astype(np.float32)
