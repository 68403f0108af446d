"""Unheard tracks that the music graph links to what the user listens to, each with the path that reached it.

Explicit walks of at most three hops (see `knowledge_graph_walk.py`) over the triples of the catalogue and of curated
files, over links that the log adds (`knowledge_graph_near.py`), and over links between artists whose graph embeddings
are close (`knowledge_graph_embeddings.py`): near to RippleNet's ripples (Wang et al. 2018, arXiv 1803.03467), but every
candidate can name its path. Different there: preferences spread by learned attention; here by resource allocation with
a weight a relation, chosen on validation. Tracks that nobody has played yet are reached like any other. What the user
has heard before is left to the memories.
Legend: B requests, K candidates, S starts, V vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from sequences.batch import FIRST_CODE, SequenceBatch
from training.data.plays import PARTS
from training.data.training_data import TrainingData
from training.data.user_batch import UserBatch
from training.data.user_history import HISTORY_VIEW, select_listens
from training.data.vocabulary import Vocabulary
from training.engine.workspace import write_json
from training.recall.channel import Candidates, RecallChannel
from training.recall.knowledge_graph.config import HEARD_NEAR, RESEMBLES, KnowledgeGraphConfig, knowledge_graph_config
from training.recall.knowledge_graph.cooccurrence_edges import build_cooccurrence_edges
from training.recall.knowledge_graph.graph import KnowledgeGraph
from training.recall.knowledge_graph.path_explanations import PathExplainer
from training.recall.knowledge_graph.tuning import tune_walk
from training.recall.knowledge_graph.user_item_history import UserItemHistory
from training.recall.knowledge_graph.walk import WalkGraph, top_k_positions
from training.recall.reason import Reason

RECENT_EVENTS = "recent_events"
MIN_AGE_S = 60.0


class KnowledgeGraphWalks(RecallChannel):
    """The most active unheard tracks of the catalogue. Nothing for a user without a listened track in the graph."""

    name: ClassVar[str] = "knowledge_graph"
    feature_service: ClassVar[str] = "knowledge_graph"

    def __init__(
        self,
        config: KnowledgeGraphConfig,
        graph: KnowledgeGraph,
        listeners_V: np.ndarray,
        is_servable_V: np.ndarray,
        heard: UserItemHistory,
        words: PathExplainer,
    ) -> None:
        self.resolved_config = config
        self.graph, self.listeners_V, self.is_servable_V = graph, listeners_V, is_servable_V
        self.user_item_history, self.path_explainer = heard, words
        self.walk_graph = WalkGraph.build(graph, listeners_V, config.walk)
        self._measures: dict[str, Any] = {}

    @classmethod
    def config(cls, recipe: str) -> KnowledgeGraphConfig:
        """See `knowledge_graph_config`."""
        return knowledge_graph_config(recipe)

    @classmethod
    def fit(cls, data: TrainingData, config: KnowledgeGraphConfig, folder: Path) -> KnowledgeGraphWalks:
        """Read the triples, add what the log and the embeddings know, choose the walk's numbers on validation.

        Raises:
            FileNotFoundError: there is no mart of triples.
        """
        del folder
        path = data.marts / "knowledge_triples.parquet"
        if not path.exists():
            raise FileNotFoundError(f"no knowledge_triples.parquet in {data.marts}; run `dbt build` first")
        graph = KnowledgeGraph.build(pl.read_parquet(path), data.vocabulary)
        words = PathExplainer.of(graph, data.marts)
        # Imported here: whoever asks a trained channel, as the service does, need not wait for what trains one.
        from training.recall.knowledge_graph.embeddings import fit_embedding, similar_artist_edges

        embedding = fit_embedding(graph, config.embedding, config.seed)
        if embedding is not None:
            graph = graph.with_edges(
                RESEMBLES, *similar_artist_edges(graph, embedding, config.embedding.neighbors_per_artist)
            )
            config = replace(config, embedding=replace(config.embedding, models=(embedding.model,)))
        if config.cooccurrence_neighbors:
            graph = graph.with_edges(
                HEARD_NEAR, *build_cooccurrence_edges(data, config.cooccurrence_window, config.cooccurrence_neighbors)
            )
        words = PathExplainer(graph, words.titles)
        heard = UserItemHistory.of(data, config.max_history_per_user)
        channel = cls(config, graph, _count_listeners(data), data.catalog_V, heard, words)
        channel._measures = {
            "relations": dict(zip(graph.relations, np.bincount(graph.relation_T).tolist(), strict=False))
        }
        if embedding is not None:
            channel._measures["embedding"] = {"model": embedding.model, "reciprocal_rank": embedding.reciprocal_rank}
        if not config.is_tuned:
            channel._measures |= tune_walk(channel, data)
        return channel

    def apply_config(self, config: KnowledgeGraphConfig) -> None:
        """Walk by other numbers from now on."""
        self.resolved_config = config
        self.walk_graph = WalkGraph.build(self.graph, self.listeners_V, config.walk)

    def measures(self) -> dict[str, Any]:
        """Triples by relation, the embedding chosen, the walks tried and their validation recall."""
        return self._measures

    def recall(self, users: UserBatch, k: int) -> Candidates:
        """The `k` tracks where most arrives, ties by smaller code."""
        items_BK = np.zeros((len(users), k), dtype=np.int64)
        scores_BK = np.full((len(users), k), -np.inf, dtype=np.float32)
        listens = select_listens(users.views[HISTORY_VIEW], ("track_id", "ended_at"))
        for row in range(len(users)):
            start, activation = self.start_nodes(listens, int(users.request_at_B[row]), row)
            if not len(start):
                continue
            heard = self.user_item_history.items_before(users.user_ids[row], int(users.request_at_B[row]))
            item, arrived = self._top_k(start, activation, np.concatenate([_items_in_views(users, row), heard]), k)
            items_BK[row, : len(item)], scores_BK[row, : len(item)] = item, arrived
        return Candidates.pad_or_truncate(items_BK, scores_BK, k)

    def similar_items(self, item: int, k: int) -> Candidates:
        """Where most arrives of a walk from the track and its artists."""
        track, one = np.array([item], dtype=np.int64), np.ones(1)
        artist, activation = self.walk_graph.performers(track, one)
        start = np.concatenate([one, activation / max(len(artist), 1)])
        found, arrived = self._top_k(np.concatenate([track, artist]), start, track, k)
        return Candidates.pad_or_truncate(found[None, :], arrived.astype(np.float32)[None, :], k)

    def _top_k(
        self, start: np.ndarray, activation: np.ndarray, left_out: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The `k` servable tracks where most arrives, most first, ties by smaller code; and what arrives there."""
        item, arrived = self.walk_graph.spread_activation(start, activation)
        is_kept = self.is_servable_V[item]
        is_kept[self.walk_graph.segment_sum.positions_of(item, left_out)] = False
        item, arrived = item[is_kept], arrived[is_kept]
        most = top_k_positions(arrived, k)
        best = most[np.argsort(-arrived[most], kind="stable")]
        return item[best], arrived[best]

    def start_nodes(self, listens: SequenceBatch, now_us: int, row: int) -> tuple[np.ndarray, np.ndarray]:
        """The tracks that one user listened to and the artists of all of them, the `starts` most active of each, and
        their activation: Σ (seconds since a listen) ** -decay, 1 in all for tracks and 1 for artists.
        """
        walk, count = self.resolved_config.walk, int(listens.length_B[row])
        track_L = listens.columns["track_id"][row, :count]
        age_L = np.maximum((now_us - listens.columns["ended_at"][row, :count]) / 1e6, MIN_AGE_S)
        is_known = (track_L >= FIRST_CODE) & (track_L < self.graph.first_artist)
        track, activation = self.walk_graph.segment_sum.sum_by_node(track_L[is_known], age_L[is_known] ** -walk.decay)
        artist, of_artist = self.walk_graph.performers(track, activation)
        nodes, activations = [], []
        for node, active in ((track, activation), (artist, of_artist)):
            kept = top_k_positions(active, walk.max_start_nodes)
            nodes.append(node[kept])
            activations.append(active[kept] / max(float(active.sum()), np.finfo(float).tiny))
        return np.concatenate(nodes).astype(np.int64), np.concatenate(activations)

    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        """The shortest path from the user's listening history to each item."""
        starts = self.start_nodes(select_listens(user.views[HISTORY_VIEW]), int(user.request_at_B[0]), 0)
        paths = [self.walk_graph.shortest_path(*starts, item) for item in items]
        return [self.path_explainer.explain(path) if path else Reason("near_interests") for path in paths]

    def save(self, folder: Path) -> None:
        """Config and titles as JSON, the graph and who heard what as arrays and Parquet."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(
            folder / "knowledge_graph.json", asdict(self.resolved_config) | {"titles": self.path_explainer.titles}
        )
        self.graph.save(folder)
        self.user_item_history.save(folder)
        np.savez_compressed(folder / "tracks.npz", listeners_V=self.listeners_V, is_servable_V=self.is_servable_V)

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> Self:
        """What `save` wrote."""
        stored = json.loads((folder / "knowledge_graph.json").read_text())
        titles = stored.pop("titles")
        graph = KnowledgeGraph.load(folder, vocabulary)
        with np.load(folder / "tracks.npz", allow_pickle=False) as tracks:
            listeners_V, is_servable_V = tracks["listeners_V"], tracks["is_servable_V"]
        config = KnowledgeGraphConfig(**stored)
        channel = cls(
            config, graph, listeners_V, is_servable_V, UserItemHistory.load(folder), PathExplainer(graph, titles)
        )
        channel.walk_graph.prepare()
        return channel


def _count_listeners(data: TrainingData) -> np.ndarray:
    """How many users listened to each track in `train`, [V]."""
    plays = data.plays
    rows = (plays.part_P == PARTS.index("train")) & plays.is_listened_P
    key = np.unique(plays.user_P[rows] * np.int64(len(data.vocabulary)) + plays.track_P[rows])
    return np.bincount(key % len(data.vocabulary), minlength=len(data.vocabulary)).astype(np.float32)


def _items_in_views(users: UserBatch, row: int) -> np.ndarray:
    """Every item that the views show the user to know already."""
    views: list[SequenceBatch] = [users.views[name] for name in (HISTORY_VIEW, RECENT_EVENTS) if name in users.views]
    return np.concatenate([view.columns["track_id"][row, : int(view.length_B[row])] for view in views])
