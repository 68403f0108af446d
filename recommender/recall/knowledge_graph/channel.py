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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from config.dataclass_io import Section, config_from_dict
from recommender.array_types import Ints
from recommender.catalog.arrays import is_among, top_k_positions
from recommender.catalog.vocabulary import Vocabulary
from recommender.nn.trees import Trees
from recommender.recall.channel import pad_rows
from recommender.recall.knowledge_graph.candidate_features import (
    FEATURE_NAMES,
    CandidateFeatures,
    RequestHistory,
)
from recommender.recall.knowledge_graph.graph import KnowledgeGraph
from recommender.recall.knowledge_graph.path_explanations import PathExplainer
from recommender.recall.knowledge_graph.walk import WalkConfig, WalkGraph
from recommender.recall.learned_order import ORDER_FILE, OrderConfig, OrderedChannel, Ranked
from recommender.recall.play_archive import PlayArchive
from recommender.recall.reason import NEAR_INTERESTS, RECENT_ACTIVITY, Reason
from recommender.recall.repeat_features import MIN_AGE_S
from recommender.user.user_batch import HISTORY_VIEW, USER_HISTORY_VIEWS, UserBatch, is_listened
from sequences.sequence_batch import SequenceBatch
from storage.files import write_json

TRACK_ARRAYS = ("listeners_V", "first_listen_at_V", "is_servable_V")


@dataclass(frozen=True)
class KnowledgeGraphConfig(Section):
    """Configuration of the knowledge_graph channel; `training/recipes/small.yaml` says what its fields mean."""

    walk: WalkConfig
    order: OrderConfig
    cooccurrence_neighbors: int
    cooccurrence_window: int
    max_history_per_user: int
    comparison_cases_per_user: int
    max_comparison_cases: int
    seed: int


class KnowledgeGraphWalks(OrderedChannel[KnowledgeGraphConfig]):
    """Tracks of the catalog with the highest activation that are new to the user.

    Empty for a user without a listened track in the graph.
    """

    name: ClassVar[str] = "knowledge_graph"
    config_class = KnowledgeGraphConfig
    feature_service: ClassVar[str] = "knowledge_graph"
    feature_names = FEATURE_NAMES
    # Over about as many positions as a list of 200 has discoveries.
    objective: ClassVar[dict[str, Any]] = {"lambdarank_truncation_level": 60}

    def __init__(
        self,
        config: KnowledgeGraphConfig,
        graph: KnowledgeGraph,
        titles: dict[str, str],
        listeners_V: np.ndarray,
        first_listen_at_V: np.ndarray,
        is_servable_V: np.ndarray,
        archive: PlayArchive,
        order: Trees | None = None,
    ) -> None:
        self.resolved_config = config
        self.graph, self.path_explainer = graph, PathExplainer(graph, titles)
        self.listeners_V, self.first_listen_at_V, self.is_servable_V = listeners_V, first_listen_at_V, is_servable_V
        self.archive, self.order = archive, order
        self.walk_graph = WalkGraph.build(graph, listeners_V, config.walk)
        artist_V = graph.vocabulary.artist_of_track_V
        self._features = CandidateFeatures(self.walk_graph, artist_V, listeners_V, first_listen_at_V)

    def without_entities(self, texts: Iterable[str]) -> KnowledgeGraphWalks:
        """A copy whose walks do not use these entities (typed texts)."""
        graph, titles = self.graph.without_entities(texts), self.path_explainer.titles
        arrays = self.listeners_V, self.first_listen_at_V, self.is_servable_V
        return KnowledgeGraphWalks(self.resolved_config, graph, titles, *arrays, self.archive, self.order)

    def store_past_plays(self, plays: PlayArchive) -> None:
        """See `RecallChannel`."""
        self.archive = plays.first_plays().newest(self.resolved_config.max_history_per_user)

    def rank(self, users: UserBatch, k: int) -> Iterator[Ranked]:
        """See `OrderedChannel`."""
        history = users.views[HISTORY_VIEW]
        is_listened_BL = is_listened(history)
        for row, (user_id, count) in enumerate(zip(users.user_ids, history.length_B.tolist(), strict=True)):
            now_us = int(users.request_at_B[row])
            played = self.archive.tracks_before(user_id, now_us)
            known = np.concatenate([_items_in_views(users, row), played])
            track_N, ended_at_N = (history.columns[name][row, :count] for name in ("track_id", "ended_at"))
            request = RequestHistory(track_N, ended_at_N, is_listened_BL[row, :count], known, now_us)
            item_C, activation_C = self._top_k(*self._start_nodes(request), known, k)
            yield item_C, (request, activation_C)

    def features(self, source: Any, item_C: np.ndarray) -> np.ndarray:
        """See `OrderedChannel`."""
        request, activation_C = source
        return self._features.compute(request, item_C, activation_C[: len(item_C)])

    def _start_nodes(self, request: RequestHistory) -> tuple[np.ndarray, np.ndarray]:
        """See `WalkGraph.start_nodes`."""
        age_L = np.maximum((request.request_at - request.ended_at_N[request.is_listened_N]) / 1e6, MIN_AGE_S)
        return self.walk_graph.start_nodes(request.track_N[request.is_listened_N], age_L)

    def similar_items(self, items: np.ndarray, k: int) -> Ints:
        """The tracks with the highest activation of a walk that starts at the tracks and their artists, whose
        activations sum to 1 each.
        """
        track = np.unique(items)
        each = np.full(len(track), 1 / len(track))
        artist, activation = self.walk_graph.performers(track, each)
        start = np.concatenate([each, activation / max(float(activation.sum()), np.finfo(float).tiny)])
        found, _ = self._top_k(np.concatenate([track, artist]), start, track, k)
        return pad_rows([found], k)

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
        self.save_order(folder)
        np.savez_compressed(folder / "tracks.npz", **{name: getattr(self, name) for name in TRACK_ARRAYS})

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> Self:
        """The channel that `save` wrote."""
        stored = json.loads((folder / "knowledge_graph.json").read_text())
        titles = stored.pop("titles")
        graph = KnowledgeGraph.load(folder, vocabulary)
        with np.load(folder / "tracks.npz", allow_pickle=False) as tracks:
            arrays = tracks["listeners_V"], tracks["first_listen_at_V"], tracks["is_servable_V"]
        config = config_from_dict(KnowledgeGraphConfig, stored)
        return cls(config, graph, titles, *arrays, PlayArchive.load(folder), Trees.load(folder / ORDER_FILE))


def _items_in_views(users: UserBatch, row: int) -> np.ndarray:
    """All items of the views of one request."""
    views: list[SequenceBatch] = [users.views[name] for name in USER_HISTORY_VIEWS if name in users.views]
    return np.concatenate([view.columns["track_id"][row, : int(view.length_B[row])] for view in views])
