"""The knowledge_graph channel: new tracks linked to the user's tracks in a music knowledge graph, with the linking
path.

Walks of at most three hops (`walk.py`) over the triples of the catalog and of curated files, co-occurrence edges from
the log (`graph.py`). This is similar to
RippleNet (Wang et al. 2018, arXiv 1803.03467), where preferences spread by learned attention; here they spread by
resource allocation with a weight per relation, and every candidate can be explained by its
path. Unplayed tracks are reached like any other. Tracks that the user has played are excluded; other channels recommend
them.

Legend: B requests, K candidates, S start nodes, L listens, V vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from sequences.sequence_batch import SequenceBatch
from training.data.plays import PARTS
from training.data.training_data import TrainingData
from training.data.unique_keys import is_among
from training.data.user_batch import UserBatch
from training.data.user_history import HISTORY_VIEW, is_listened
from training.data.vocabulary import Vocabulary
from training.engine.config_io import config_from_dict
from training.engine.workspace import write_json
from training.index.top_k import top_k_positions
from training.recall.channel import Candidates, RecallChannel
from training.recall.knowledge_graph.candidate_features import NO_LISTEN, CandidateFeatures, RequestHistory
from training.recall.knowledge_graph.config import HEARD_NEAR, KnowledgeGraphConfig
from training.recall.knowledge_graph.graph import KnowledgeGraph, build_cooccurrence_edges, read_triples
from training.recall.knowledge_graph.path_explanations import PathExplainer
from training.recall.knowledge_graph.walk import WalkGraph
from training.recall.learned_order.candidate_order import FILE as ORDER_FILE
from training.recall.learned_order.candidate_order import CandidateOrder
from training.recall.play_archive import PlayArchive
from training.recall.reason import NEAR_INTERESTS, RECENT_ACTIVITY, Reason

RECENT_EVENTS = "recent_events"
MIN_AGE_S = 60.0
TRACK_ARRAYS = ("listeners_V", "first_listen_at_V", "is_servable_V")


class KnowledgeGraphWalks(RecallChannel[KnowledgeGraphConfig]):
    """Tracks of the catalog with the highest activation that are new to the user.

    Empty for a user without a listened track in the graph.
    """

    name: ClassVar[str] = "knowledge_graph"
    config_class = KnowledgeGraphConfig
    feature_service: ClassVar[str] = "knowledge_graph"

    def __init__(
        self,
        config: KnowledgeGraphConfig,
        graph: KnowledgeGraph,
        listeners_V: np.ndarray,
        first_listen_at_V: np.ndarray,
        is_servable_V: np.ndarray,
        archive: PlayArchive,
        path_explainer: PathExplainer,
        order: CandidateOrder | None = None,
    ) -> None:
        self.resolved_config = config
        self.graph, self.is_servable_V = graph, is_servable_V
        self.listeners_V, self.first_listen_at_V = listeners_V, first_listen_at_V
        self.archive, self.path_explainer, self.order = archive, path_explainer, order
        self.walk_graph = WalkGraph.build(graph, listeners_V, config.walk)
        self._measures: dict[str, Any] = {}

    @classmethod
    def fit(cls, data: TrainingData, config: KnowledgeGraphConfig, folder: Path) -> KnowledgeGraphWalks:
        """Build the graph, add edges from the log, and fit the order.

        The order is that of `data.held_out_model`, if it is given.

        Raises:
            FileNotFoundError: The mart of triples does not exist.
        """
        del folder
        graph = KnowledgeGraph.build(read_triples(data.marts), data.vocabulary)
        titles = PathExplainer.of(graph, data.marts).titles
        # Imported here because serving loads channels without needing the training code.
        from training.recall.knowledge_graph.order_training import end_train_earlier, fit_order

        channel = cls._of_log(data, config, graph, titles, data.catalog_V)
        relations = channel.graph.relations
        counts = np.bincount(channel.graph.relation_T).tolist()
        measures: dict[str, Any] = {"relations": dict(zip(relations, counts, strict=False))}
        of_train = channel.archive
        channel.read_past_plays(data)  # as a request does: also what the user played since the end of `train`
        if config.order.trees and data.held_out_model is not None:
            channel.order = CandidateOrder.load(data.held_out_model)
        elif config.order.trees:
            earlier = end_train_earlier(data, config.order.train_fraction)
            past = cls._of_log(earlier, config, graph, titles, earlier.validation_catalog_V)
            past.read_past_plays(earlier)
            channel.order, measures["order"] = fit_order(channel, past, earlier, data)
            if channel.order is None:
                channel.resolved_config = replace(config, order=replace(config.order, trees=0))
        channel.archive = of_train
        channel._measures = measures
        return channel

    @classmethod
    def _of_log(
        cls,
        data: TrainingData,
        config: KnowledgeGraphConfig,
        graph: KnowledgeGraph,
        titles: dict[str, str],
        is_servable_V: np.ndarray,
    ) -> KnowledgeGraphWalks:
        """A channel without an order, with everything that comes from the `train` part of the log."""
        if config.cooccurrence_neighbors:
            graph = graph.with_edges(
                HEARD_NEAR, *build_cooccurrence_edges(data, config.cooccurrence_window, config.cooccurrence_neighbors)
            )
        history = PlayArchive.of(data).first_plays().newest(config.max_history_per_user)
        explainer = PathExplainer(graph, titles)
        return cls(config, graph, _count_listeners(data), _first_listens(data), is_servable_V, history, explainer)

    def without_entities(self, texts: Iterable[str]) -> KnowledgeGraphWalks:
        """A copy whose walks do not use these entities (typed texts)."""
        graph = self.graph.without_entities(texts)
        explainer = PathExplainer(graph, self.path_explainer.titles)
        return KnowledgeGraphWalks(
            self.resolved_config,
            graph,
            self.listeners_V,
            self.first_listen_at_V,
            self.is_servable_V,
            self.archive,
            explainer,
            self.order,
        )

    def read_past_plays(self, data: TrainingData) -> None:
        """See `RecallChannel`."""
        self.archive = PlayArchive.of(data, PARTS).first_plays().newest(self.resolved_config.max_history_per_user)

    def measures(self) -> dict[str, Any]:
        """Triples by relation, and the examples and validation recall of the order."""
        return self._measures

    def recall(self, users: UserBatch, k: int) -> Candidates:
        """The `k` best new tracks: by the learned order if there is one, else by activation, ties by smaller item code.

        Scores are those of the order.
        """
        items_BK = np.zeros((len(users), k), dtype=np.int64)
        scores_BK = np.full((len(users), k), -np.inf, dtype=np.float32)
        for row, (item_K, score_K) in enumerate(self._ordered_walks(users, k)):
            items_BK[row, : len(item_K)], scores_BK[row, : len(item_K)] = item_K, score_K
        return Candidates.pad_or_truncate(items_BK, scores_BK, k)

    def _ordered_walks(self, users: UserBatch, k: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each request: the `k` best new tracks and their scores."""
        pool = self.resolved_config.order.pool if self.order is not None else 0
        for history, item_C, score_C in self._walks(users, max(k, pool)):
            ordered = item_C, score_C
            if self.order is not None:
                ordered = self.order.reorder(item_C, self._features.compute(history, item_C[:pool], score_C[:pool]))
            yield ordered[0][:k], ordered[1][:k]

    def candidate_features(self, users: UserBatch) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each request: the candidates [C] that a learned order sorts, by activation, and their features [C, F]."""
        for history, item_C, score_C in self._walks(users, self.resolved_config.order.pool):
            yield item_C, self._features.compute(history, item_C, score_C)

    @cached_property
    def _features(self) -> CandidateFeatures:
        artist_V = self.graph.vocabulary.artist_of_track_V
        return CandidateFeatures(self.walk_graph, artist_V, self.listeners_V, self.first_listen_at_V)

    def _walks(self, users: UserBatch, k: int) -> Iterator[tuple[RequestHistory, np.ndarray, np.ndarray]]:
        """For each request: its history, the `k` most active tracks that are new to the user, and their activation."""
        history = users.views[HISTORY_VIEW]
        is_listened_BL = is_listened(history)
        for row, (user_id, count) in enumerate(zip(users.user_ids, history.length_B.tolist(), strict=True)):
            now_us = int(users.request_at_B[row])
            played = self.archive.tracks_before(user_id, now_us)
            known = np.concatenate([_items_in_views(users, row), played])
            track_N, ended_at_N = (history.columns[name][row, :count] for name in ("track_id", "ended_at"))
            request = RequestHistory(track_N, ended_at_N, is_listened_BL[row, :count], known, now_us)
            yield request, *self._top_k(*self._start_nodes(request), known, k)

    def _start_nodes(self, request: RequestHistory) -> tuple[np.ndarray, np.ndarray]:
        """See `WalkGraph.start_nodes`."""
        age_L = np.maximum((request.request_at - request.ended_at_N[request.is_listened_N]) / 1e6, MIN_AGE_S)
        return self.walk_graph.start_nodes(request.track_N[request.is_listened_N], age_L)

    def similar_items(self, items: np.ndarray, k: int) -> Candidates:
        """The tracks with the highest activation of a walk that starts at the tracks and their artists, whose
        activations sum to 1 each.
        """
        track = np.unique(items)
        each = np.full(len(track), 1 / len(track))
        artist, activation = self.walk_graph.performers(track, each)
        start = np.concatenate([each, activation / max(float(activation.sum()), np.finfo(float).tiny)])
        found, arrived = self._top_k(np.concatenate([track, artist]), start, track, k)
        return Candidates.pad_or_truncate(found[None, :], arrived.astype(np.float32)[None, :], k)

    def _top_k(
        self, start: np.ndarray, activation: np.ndarray, excluded: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The `k` servable tracks with the highest activation, best first, ties by smaller item code; and their
        activation.
        """
        item, arrived = self.walk_graph.spread_activation(start, activation)
        is_kept = self.is_servable_V[item] & ~is_among(item, excluded)
        item, arrived = item[is_kept], arrived[is_kept]
        best = top_k_positions(arrived, k)
        return item[best], arrived[best]

    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        """The shortest path from the user's listening history to each item."""
        history, nothing = user.views[HISTORY_VIEW], np.zeros(0, np.int64)
        columns = history.columns["track_id"][0], history.columns["ended_at"][0], is_listened(history)[0]
        starts = self._start_nodes(RequestHistory(*columns, nothing, int(user.request_at_B[0])))
        paths = [self.walk_graph.shortest_path(*starts, item) for item in items]
        without_path = NEAR_INTERESTS if len(starts[0]) else RECENT_ACTIVITY
        return [self.path_explainer.explain(path) if path else without_path for path in paths]

    def save(self, folder: Path) -> None:
        """Write config and titles as JSON, the graph and the users' histories as arrays and Parquet."""
        write_json(
            folder / "knowledge_graph.json", asdict(self.resolved_config) | {"titles": self.path_explainer.titles}
        )
        self.graph.save(folder)
        self.archive.save(folder)
        (folder / ORDER_FILE).unlink(missing_ok=True)
        if self.order is not None:
            self.order.save(folder)
        np.savez_compressed(folder / "tracks.npz", **{name: getattr(self, name) for name in TRACK_ARRAYS})

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> Self:
        """The channel that `save` wrote."""
        stored = json.loads((folder / "knowledge_graph.json").read_text())
        titles = stored.pop("titles")
        graph = KnowledgeGraph.load(folder, vocabulary)
        with np.load(folder / "tracks.npz", allow_pickle=False) as tracks:
            listeners_V, first_listen_at_V, is_servable_V = (tracks[name] for name in TRACK_ARRAYS)
        config = config_from_dict(KnowledgeGraphConfig, stored)
        channel = cls(
            config,
            graph,
            listeners_V,
            first_listen_at_V,
            is_servable_V,
            PlayArchive.load(folder),
            PathExplainer(graph, titles),
            CandidateOrder.load(folder),
        )
        channel.walk_graph.prepare()
        return channel


def _count_listeners(data: TrainingData) -> np.ndarray:
    """Number of users who listened to each track in `train`, [V]."""
    plays, rows = data.plays, _train_listen_mask(data)
    key = np.unique(plays.user_P[rows] * np.int64(len(data.vocabulary)) + plays.track_P[rows])
    return np.bincount(key % len(data.vocabulary), minlength=len(data.vocabulary)).astype(np.float32)


def _first_listens(data: TrainingData) -> np.ndarray:
    """Time of the first listen of each track in `train`, [V], µs UTC, or NO_LISTEN."""
    plays, rows = data.plays, _train_listen_mask(data)
    first_V = np.full(len(data.vocabulary), NO_LISTEN)
    np.minimum.at(first_V, plays.track_P[rows], plays.known_at_P[rows])
    return first_V


def _train_listen_mask(data: TrainingData) -> np.ndarray:
    """Which plays are listens in `train`, bool [P]."""
    mask_P: np.ndarray = (data.plays.part_P == PARTS.index("train")) & data.plays.is_listened_P
    return mask_P


def _items_in_views(users: UserBatch, row: int) -> np.ndarray:
    """All items of the views of one request."""
    views: list[SequenceBatch] = [users.views[name] for name in (HISTORY_VIEW, RECENT_EVENTS) if name in users.views]
    return np.concatenate([view.columns["track_id"][row, : int(view.length_B[row])] for view in views])
