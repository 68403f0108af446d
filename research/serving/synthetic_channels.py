"""Synthetic catalog, networks and users of realistic sizes without training, for the benchmarks of recall.

Weights are random with structure: a track's vector is the sum of its own, its artist's and its facets' vectors, as the
item tower computes it; a third of the tracks have no vector of their own. Tracks per artist and the tracks that a user
returns to have long tails.

Unstructured weights would give queries without near neighbors, and approximate search cannot skip anything for those.
So artists of one style are similar, and a transformer block changes a token less than it would at random. Both degrees
were calibrated by what IVF lists find for `realtime` trained on real logs, recipe `small`.

Shape letters: V vocabulary, A artists, B users, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from config.dataclass_io import change_config
from recommender.catalog.vocabulary import Vocabulary
from recommender.nn.trees import PastRequests
from recommender.recall.channel import RecallChannel
from recommender.recall.favorites import Favorites
from recommender.recall.knowledge_graph.channel import KnowledgeGraphWalks
from recommender.recall.knowledge_graph.graph import HEARD_NEAR, PERFORMED_BY, KnowledgeGraph
from recommender.recall.long_short.channel import LongShort
from recommender.recall.multi_interest.channel import MultiInterest
from recommender.recall.neural_channel import NeuralChannel
from recommender.recall.play_archive import PlayArchive
from recommender.recall.popularity import ItemLanguages, Popularity
from recommender.recall.realtime import Realtime
from recommender.user.user_batch import UserBatch
from sequences import behaviors
from sequences.sequence_batch import FIRST_CODE, SequenceBatch
from sequences.sequence_views import SEQUENCE_VIEWS
from training.networks.item_tower import RARE_ROW, ItemCodes
from training.networks.long_short import LongShortNetwork
from training.networks.multi_interest import MultiInterestNetwork
from training.networks.next_item import NextItemNetwork
from training.recall.learned_order import fit_trees
from training.recipes import config_of

TRACKS_PER_ARTIST = 10
FACET_VALUES, FACETS_PER_TRACK = 80, 3
EMBEDDED_TRACK_SHARE = 2 / 3
GRAPH_NEIGHBORS = 16
STYLE_SIMILARITY, BLOCK_OUTPUT_SCALE = 0.7, 0.5
STYLES_PER_USER, FAVORITES_PER_USER = 6, 600
NOW = 1_800_000_000_000_000
PLAY_DURATION_US = 200_000_000
LOG_DURATION_US = 365 * 86_400_000_000
BEHAVIOR_PROBABILITIES = np.array(["full_play", "play", "skip"]), np.array([0.6, 0.2, 0.2])
NO_PLAYS = PlayArchive(
    (), np.zeros(1, np.int64), *(np.zeros(0, kind) for kind in (np.int32, np.int64, np.int8, np.int32))
)


class SyntheticWorld:
    """`channels` over a catalog of `tracks` tracks with a recipe's sizes, and `requests` of users with 2,000 plays.

    The same arguments give the same world.
    """

    def __init__(self, tracks: int, recipe: str) -> None:
        self.random = np.random.default_rng(0)
        torch.manual_seed(0)
        self.recipe, self.tracks = recipe, tracks
        self.artists = max(tracks // TRACKS_PER_ARTIST, 1)
        self.vocabulary = self._vocabulary()
        self.facet_A = self.random.integers(0, FACET_VALUES, (self.artists + FIRST_CODE, FACETS_PER_TRACK))
        self.codes = self._codes()
        self.catalog_items = np.arange(FIRST_CODE, tracks + FIRST_CODE)

    def channels(self) -> dict[str, RecallChannel]:
        """Return all channels."""
        makers: dict[str, Callable[[], RecallChannel]] = {
            "popularity": self._popularity,
            "favorites": lambda: self._learn_order(Favorites(config_of(Favorites, "small"), self.vocabulary, NO_PLAYS)),
            "realtime": lambda: self._neural_channel(Realtime, NextItemNetwork),
            "multi_interest": lambda: self._neural_channel(MultiInterest, MultiInterestNetwork, self._facet_values()),
            "long_short": lambda: self._neural_channel(LongShort, LongShortNetwork, discovery_share=0.2),
            "knowledge_graph": lambda: self._learn_order(self._knowledge_graph_channel()),
        }
        return {name: make() for name, make in makers.items()}

    def requests(self, count: int, seed: int) -> UserBatch:
        """Return users who return to favorites by artists of a few styles, with all inputs of all channels."""
        random = np.random.default_rng(seed)
        taste_A = self.facet_A[:, 0]
        histories = []
        for _ in range(count):
            own = np.flatnonzero(np.isin(taste_A, random.choice(FACET_VALUES, STYLES_PER_USER, replace=False)))
            tracks = np.flatnonzero(np.isin(self.vocabulary.artist_of_track_V, random.permutation(own)[:100]))
            tracks = random.permutation(tracks[tracks >= FIRST_CODE])[:FAVORITES_PER_USER]
            weight = 1 / np.arange(1, len(tracks) + 1)
            histories.append(random.choice(tracks, SEQUENCE_VIEWS["played_history"].length, p=weight / weight.sum()))
        track_BL = np.stack(histories)
        ended_BL = NOW - PLAY_DURATION_US * np.arange(track_BL.shape[1], 0, -1) + np.zeros((count, 1), dtype=np.int64)
        code_of = behaviors.load_behaviors().encoder
        names, share = BEHAVIOR_PROBABILITIES
        behavior_BL = np.array([code_of[name] for name in names])[random.choice(len(names), track_BL.shape, p=share)]
        columns: dict[str, Any] = {"track_id": track_BL, "behavior": behavior_BL, "ended_at": ended_BL}
        columns |= {
            "occurred_at": ended_BL - PLAY_DURATION_US,
            "played_ratio": np.ones(track_BL.shape, dtype=np.float32),
        }
        views = {
            name: _newest_events(columns, SEQUENCE_VIEWS[name].length)
            for name in ("played_history", "recent_events", "recent_clicks")
        }
        views["recent_clicks"].columns["behavior"][:] = code_of["click"]
        ids = [f"listener {number}" for number in range(count)]
        return UserBatch(ids, np.full(count, NOW), views, [""] * count)

    def _vocabulary(self) -> Vocabulary:
        share = (np.arange(self.artists) + 10.0) ** -0.7
        artist = self.random.choice(self.artists, self.tracks, p=share / share.sum()) + FIRST_CODE
        return Vocabulary(
            track_ids_V=_numbered_texts("t", self.tracks),
            artist_of_track_V=np.concatenate([[0, 1], artist]),
            artist_ids_A=_numbered_texts("a", self.artists),
            titles_V=_numbered_texts("title ", self.tracks),
            artist_names_A=_numbered_texts("artist ", self.artists),
        )

    def _codes(self) -> ItemCodes:
        """Return the item codes; the first tracks, which are played most, have their own vectors."""
        artist_V = self.vocabulary.artist_of_track_V
        track_V = np.full(self.tracks + FIRST_CODE, RARE_ROW)
        own = int(self.tracks * EMBEDDED_TRACK_SHARE)
        track_V[0], track_V[FIRST_CODE : FIRST_CODE + own] = 0, np.arange(own) + FIRST_CODE
        facet_VF = self.facet_A[artist_V] + 1
        facet_VF[:FIRST_CODE] = 0
        return ItemCodes(torch.from_numpy(track_V), torch.from_numpy(artist_V), torch.from_numpy(facet_VF))

    def _neural_channel(
        self, kind: Any, network: Any, metadata: dict[str, Any] | None = None, **changes: Any
    ) -> RecallChannel:
        config = change_config(config_of(kind, self.recipe), changes)
        made = network(config, self.codes).eval()
        self._cluster_weights(made.short if isinstance(made, LongShortNetwork) else made)
        channel: NeuralChannel[Any] = kind(config, made.export(), self.catalog_items, self.vocabulary, metadata)
        return channel

    @torch.no_grad()
    def _cluster_weights(self, network: NextItemNetwork | MultiInterestNetwork) -> None:
        artist_AD = network.items.artist.weight
        style_SD = torch.randn(FACET_VALUES, artist_AD.shape[1]) * artist_AD.shape[1] ** -0.5
        style_AD = style_SD[torch.from_numpy(self.facet_A[: len(artist_AD), 0])]
        artist_AD[FIRST_CODE:] = STYLE_SIMILARITY * (artist_AD + style_AD)[FIRST_CODE:]
        for block in network.users.blocks if isinstance(network, NextItemNetwork) else ():
            block.output.weight *= BLOCK_OUTPUT_SCALE
            block.feed[-1].weight *= BLOCK_OUTPUT_SCALE

    def _facet_values(self) -> dict[str, Any]:
        return {"facet_values": [f"style {number}" for number in range(FACET_VALUES)]}

    def _popularity(self) -> Popularity:
        item_N = self.catalog_items[: config_of(Popularity, "small").max_tracks]
        names = [f"language {number}" for number in range(8)]
        is_in_NA = self.random.random((len(item_N), len(names))) < 0.2
        return Popularity(
            config_of(Popularity, "small"),
            item_N,
            1e4 / (1.0 + np.arange(len(item_N))),
            ItemLanguages(item_N, names, is_in_NA),
            people_N=np.full(len(item_N), 20_000),
            times_N=np.full(len(item_N), 90_000),
        )

    def _knowledge_graph_channel(self) -> KnowledgeGraphWalks:
        config = config_of(KnowledgeGraphWalks, self.recipe)
        graph = self._graph()
        listeners_V = np.concatenate([[0, 0], 1e4 / (1.0 + np.arange(self.tracks))]).astype(np.float32)
        may_serve_V = np.arange(self.tracks + FIRST_CODE) >= FIRST_CODE
        user_items = NO_PLAYS
        first_listen_at_V = NOW - self.random.integers(0, LOG_DURATION_US, len(listeners_V))
        return KnowledgeGraphWalks(config, graph, {}, listeners_V, first_listen_at_V, may_serve_V, user_items)

    def _learn_order(self, channel: Favorites | KnowledgeGraphWalks) -> RecallChannel:
        """Give the channel an order of the recipe's size, fitted on random labels."""
        features = [features_CF for _, features_CF in channel.candidate_features(self.requests(20, seed=2))]
        count_Q = np.array([len(one) for one in features], dtype=np.int64)
        is_target_R = self.random.random(count_Q.sum()) < 0.1
        examples = PastRequests(np.concatenate(features), is_target_R, count_Q)
        channel.order = fit_trees(examples, channel.resolved_config.order, channel.objective, seed=0)
        return channel

    def _graph(self) -> KnowledgeGraph:
        """Return performers, styles of artists, and co-occurrence edges between tracks with their own vectors."""
        V = self.tracks + FIRST_CODE
        track, first_artist = self.catalog_items, V
        artist = np.arange(FIRST_CODE, self.artists + FIRST_CODE)
        styles = tuple(f"style:{number:02}" for number in range(FACET_VALUES))
        first_style = first_artist + self.artists + FIRST_CODE
        head = [first_artist + np.repeat(artist, FACETS_PER_TRACK), track]
        tail = [first_style + self.facet_A[artist].ravel(), first_artist + self.vocabulary.artist_of_track_V[track]]
        relation = np.repeat([0, 1], [len(one) for one in head])
        rows = np.unique(np.stack([np.concatenate(head), relation, np.concatenate(tail)]), axis=1)
        strength = np.ones(rows.shape[1], dtype=np.float32)
        graph = KnowledgeGraph(self.vocabulary, styles, ("has_style", PERFORMED_BY), *rows, strength_T=strength)
        own = self.catalog_items[: int(self.tracks * EMBEDDED_TRACK_SHARE)]
        # The neighbors of a track are by artists of the same style: those next to it when sorted by style.
        by_style = own[np.argsort(self.facet_A[self.vocabulary.artist_of_track_V[own], 0], kind="stable")]
        near = by_style[np.minimum(np.arange(len(own))[:, None] + np.arange(1, GRAPH_NEIGHBORS + 1), len(own) - 1)]
        strengths = np.tile(np.linspace(20, 2, GRAPH_NEIGHBORS, dtype=np.float32), len(own))
        return graph.with_edges(HEARD_NEAR, np.repeat(by_style, GRAPH_NEIGHBORS), near.ravel(), strengths)


def _numbered_texts(word: str, count: int) -> np.ndarray:
    return np.array(["", "", *(f"{word}{number}" for number in range(count))], dtype=object)


def _newest_events(columns: dict[str, np.ndarray], length: int) -> SequenceBatch:
    newest = {name: column[:, -length:].copy() for name, column in columns.items()}
    return SequenceBatch(newest, np.full(len(columns["track_id"]), newest["track_id"].shape[1]))
