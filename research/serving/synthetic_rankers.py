"""Requests and rankers for the benchmarks of ranking: users with full histories over a synthetic catalog, random
weights.

All recent events were listened to, so that no ranker skips any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from config.dataclass_io import change_config
from content.track_content import MIN_BLOCK_WIDTH, TrackContent
from recommender.ranking.boosted_trees import BoostedTrees
from recommender.ranking.event_embeddings import ItemFrequencies
from recommender.ranking.features.content_similarity import ContentRows
from recommender.ranking.features.genre_search import EMOTIONS, STYLES, TrackGenres
from recommender.ranking.features.ranking_features import (
    PLAYED_HISTORY,
    RECENT_EVENTS,
    RECENT_NEGATIVES,
    UNCLICKED_IMPRESSIONS,
    RankingFeatures,
)
from recommender.ranking.features.track_statistics import COUNTS, DAY_BITS, TrackStatistics
from recommender.ranking.features.user_features import outcomes_of_behaviors
from recommender.ranking.fitted_ranker import FittedRanker
from recommender.ranking.ranker_config import TreeConfig
from recommender.ranking.registry import RANKERS
from recommender.user.user_batch import UserBatch
from sequences import behaviors
from sequences.sequence_batch import SequenceBatch
from training.recipes import config_of

TRACKS, ARTISTS = 20_000, 2_000
PLAYED_LENGTH, NEGATIVE_LENGTH, IMPRESSION_LENGTH = 2_000, 50, 50
EVENT_INTERVAL_S = 200
TODAY = 20_000
NOW = TODAY * 86_400_000_000
WIDTH, WIDTH_OF_CONTENT = 32, 4 * MIN_BLOCK_WIDTH


def sample_tracks(random: np.random.Generator, *shape: int) -> NDArray[np.int64]:
    """Return vocabulary indices of known tracks."""
    return random.integers(2, TRACKS, shape)


def make_user_batch(random: np.random.Generator, requests: int, events: int) -> UserBatch:
    """Return requests with `events` recent listened events each, and full long histories."""

    def sequence(length: int, behavior_BL: Any) -> SequenceBatch:
        ended_at_BL = np.broadcast_to(NOW - 1_000_000 * EVENT_INTERVAL_S * np.arange(length, 0, -1), (requests, length))
        columns: dict[str, Any] = {
            "track_id": sample_tracks(random, requests, length),
            "behavior": np.broadcast_to(behavior_BL, (requests, length)).astype(np.int64),
            "occurred_at": ended_at_BL - 180_000_000,
            "ended_at": ended_at_BL,
            "played_ratio": random.random((requests, length), dtype=np.float32),
        }
        return SequenceBatch(columns, np.full(requests, length))

    code_of = behaviors.load_behaviors().encoder
    outcome_BL = np.where(random.random((requests, PLAYED_LENGTH)) < 0.7, code_of["full_play"], code_of["skip"])
    return UserBatch(
        user_ids=[f"u{number}" for number in range(requests)],
        request_at_B=np.full(requests, NOW),
        views={
            RECENT_EVENTS: sequence(events, code_of["full_play"]),
            PLAYED_HISTORY: sequence(PLAYED_LENGTH, outcome_BL),
            RECENT_NEGATIVES: sequence(NEGATIVE_LENGTH, code_of["skip"]),
            UNCLICKED_IMPRESSIONS: sequence(IMPRESSION_LENGTH, code_of["impression_without_click"]),
        },
        scene_B=["daily"] * requests,
        profile={},
    )


def make_ranker(name: str, changes: Mapping[str, Any] | None = None) -> FittedRanker:
    """Return a ranker of recipe `small` with random weights, in which every track has its own embedding."""
    torch.manual_seed(0)
    base = {"network.width": WIDTH, "network.minimum_count": 1}
    config = change_config(config_of(RANKERS[name], "small"), base | dict(changes or {}))
    reads = config.features
    catalog = ItemFrequencies(torch.full((TRACKS,), 100), torch.full((ARTISTS,), 100))
    artist_of_track_V = np.array([0, 1, *(2 + track % (ARTISTS - 2) for track in range(TRACKS - 2))])
    statistics = TrackStatistics(
        np.arange(2, TRACKS) << DAY_BITS | (TODAY - 1), np.full((TRACKS - 2, len(COUNTS)), 9, np.float32)
    )
    features = RankingFeatures(
        artist_of_track_V,
        outcomes_of_behaviors(behaviors.load_behaviors().encoder),
        {"daily": 2},
        statistics,
        reads,
        make_track_genres(TRACKS) if reads.genres else None,
        make_content_rows(TRACKS) if reads.content else None,
    )
    model = RANKERS[name](config, catalog, ("not_skipped", "full_play"))
    if config.trees.count:
        model.set_tree_weights([0.3] * len(model.tasks))
        features = replace(features, trees=fit_random_trees(features, config.trees, TRACKS, len(model.tasks)))
    return FittedRanker(name, model.tasks, model.eval().export(), features, config, {})


def make_track_genres(tracks: int) -> TrackGenres:
    """Return two styles in a language and two emotions for each track but the first two (padding, unknown)."""
    random = np.random.default_rng(3)
    kind_U = np.repeat([-1, STYLES, EMOTIONS], [1, 60, 10]).astype(np.int8)
    columns = [random.integers(*bounds, tracks) for bounds in ((1, 61), (1, 61), (61, 71), (61, 71))]
    value_VK = np.stack(columns, axis=1).astype(np.int32)
    value_VK[:2] = 0
    return TrackGenres(value_VK, kind_U)


def make_content_rows(tracks: int) -> ContentRows:
    """Return random content for each track but the first two (padding, unknown)."""
    row_VW = np.random.default_rng(4).standard_normal((tracks, WIDTH_OF_CONTENT), dtype=np.float32)
    row_VW[:2] = 0
    has_content_V = np.arange(tracks) > 1
    content = TrackContent(row_VW.astype(np.float16), has_content_V, np.zeros(WIDTH_OF_CONTENT, np.int64))
    rows = ContentRows.build(content)
    assert rows is not None
    return rows


def fit_random_trees(features: RankingFeatures, config: TreeConfig, tracks: int, tasks: int) -> BoostedTrees | None:
    """Return full-grown trees fitted on random labels."""
    random = np.random.default_rng(0)
    users = make_user_batch(random, 20, 50)
    users.views[PLAYED_HISTORY].columns["track_id"] %= tracks
    side, items_BC = features.prepare_users(users), random.integers(2, tracks, (20, 1_000))
    made = features.prepare_candidates(side, items_BC)
    context_RU = np.repeat(side.inputs.context_BU, items_BC.shape[1], axis=0)
    dense = (part.reshape(items_BC.size, -1) for part in (made.features_BCF, made.matches_BCM))
    numbers_RN = np.concatenate([context_RU, *dense], axis=1)
    labels_RT = random.integers(0, 2, (len(numbers_RN), tasks)).astype(np.float32)
    return BoostedTrees.fit(numbers_RN, labels_RT, config, 0, 1)
