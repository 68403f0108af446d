"""Approximate vector search: Segue's IVF lists compared with HNSW of the same library (faiss) and with exact search.

Clustered vectors of width 64, as tracks around artists around styles, all different; a search returns the best 200 for
4 queries, on one thread. Both indexes are tuned on the same searches to the target recall of `training.index.ivf_tuning`.
Results of `run(vectors)`, each compared with HNSW:

    index_search        p50 in ms
    index_build         seconds to build
    index_found         share of the exact first 200 that is found
    index_search_exact  p50 in ms of exact search, compared with the IVF lists' time

Of few vectors IVF lists do not reach the recall; then there is no result but that of exact search.
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

from benchmarks.result import Result
from training.index.exact import ExactIndex, Index
from training.index.ivf import IVFIndex, _best_by_group
from training.index.ivf_tuning import RECALL_CUTOFF, TARGET_RECALL, RecordingIndex, choose_index, recall_against_exact

WIDTH, QUERIES, SEARCHES = 64, 4, 60
STYLES, VECTORS_PER_ARTIST = 200, 8
GRAPH_LINKS, EF_CONSTRUCTION, MAX_EF_SEARCH = 32, 80, 2_000
PEER = "HNSW (faiss)"


@dataclass(frozen=True)
class HNSWIndex(Index):
    """Graph index of faiss, without excluded or duplicate vectors."""

    graph: Any

    @classmethod
    def from_exact(cls, exact: ExactIndex) -> HNSWIndex:
        """Return an index of the same vectors."""
        graph = faiss.IndexHNSWFlat(WIDTH, GRAPH_LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = EF_CONSTRUCTION
        graph.add(exact.vector_GD)
        return cls(exact.items, graph)

    def tune(self, watched: RecordingIndex) -> HNSWIndex:
        """Search as widely as needed for the target recall, up to the limit."""
        self.graph.hnsw.efSearch = RECALL_CUTOFF
        while recall_against_exact(self, watched.searches) < TARGET_RECALL and self.graph.hnsw.efSearch < MAX_EF_SEARCH:
            self.graph.hnsw.efSearch = min(self.graph.hnsw.efSearch * 3 // 2, MAX_EF_SEARCH)
        return self

    def _best_groups(
        self, query_BQD: np.ndarray, k: int, excluded: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for query_QD in query_BQD:
            score_QK, group_QK = self.graph.search(query_QD, k)
            yield _best_by_group(group_QK[group_QK >= 0], score_QK[group_QK >= 0])


def run(vectors: int) -> list[Result]:
    """Return all results for `vectors` vectors."""
    threads = faiss.omp_get_max_threads()
    try:
        with threadpool_limits(1):
            return _measure_indexes(vectors)
    finally:
        faiss.omp_set_num_threads(threads)


def _measure_indexes(vectors: int) -> list[Result]:
    random = np.random.default_rng(0)
    vector_ND = _clustered_vectors(random, vectors)
    exact = ExactIndex.of(np.arange(vectors), torch.from_numpy(vector_ND))
    near = vector_ND[random.integers(0, vectors, (SEARCHES, QUERIES))]
    query_BQD = torch.from_numpy(_normalize(near + 0.12 * random.standard_normal(near.shape, dtype=np.float32)))
    watched = RecordingIndex.wrap(exact)
    watched.search_best(query_BQD, RECALL_CUTOFF)
    index, known = choose_index(exact, 0, watched.searches, seed=0)
    if not isinstance(index, IVFIndex):
        (exact_ms,) = _measure_medians([exact], query_BQD)
        return [Result.from_values("index_search_exact", "ms", exact_ms)]
    began = time.perf_counter()
    IVFIndex.of(exact, index.probes, seed=0)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    graph = HNSWIndex.from_exact(exact)
    graph_seconds = time.perf_counter() - began
    graph = graph.tune(watched)
    exact_ms, ours_ms, graph_ms = _measure_medians([exact, index, graph], query_BQD)
    return [
        Result.from_values("index_search", "ms", ours_ms, PEER, graph_ms, lower_is_better=True),
        Result.from_values("index_build", "s", seconds, PEER, graph_seconds, lower_is_better=True),
        Result.from_values(
            "index_found", "of the best", known["recall_at_200"], PEER, recall_against_exact(graph, watched.searches)
        ),
        Result.from_values("index_search_exact", "ms", exact_ms, "our lists", ours_ms, lower_is_better=True),
    ]


def _measure_medians(indexes: list[Index], query_BQD: torch.Tensor) -> list[float]:
    """Return the p50 of each alternative in ms, in turns."""
    seconds: list[list[float]] = [[] for _ in indexes]
    for query_QD in query_BQD:
        for index, taken in zip(indexes, seconds, strict=True):
            began = time.perf_counter()
            index.search_best(query_QD[None], RECALL_CUTOFF)
            taken.append(time.perf_counter() - began)
    return [statistics.median(taken) * 1000 for taken in seconds]


def _clustered_vectors(random: np.random.Generator, count: int) -> np.ndarray:
    """Return directions around artists around styles; a few artists have many tracks."""
    artists = max(count // VECTORS_PER_ARTIST, 1)
    style_SD = random.standard_normal((STYLES, WIDTH), dtype=np.float32)
    artist_AD = style_SD[random.integers(0, STYLES, artists)]
    artist_AD = artist_AD + random.standard_normal((artists, WIDTH), dtype=np.float32)
    share = (np.arange(artists) + 10.0) ** -0.7
    own_ND = 0.8 * random.standard_normal((count, WIDTH), dtype=np.float32)
    return _normalize(artist_AD[random.choice(artists, count, p=share / share.sum())] + own_ND)


def _normalize(vector: np.ndarray) -> np.ndarray:
    return (vector / np.linalg.norm(vector, axis=-1, keepdims=True)).astype(np.float32)
