"""Hand-made users, and rankers with random weights for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch

from config.dataclass_io import change_config
from recommender.ranking.boosted_trees import BoostedTrees
from recommender.ranking.event_embeddings import ItemFrequencies
from recommender.ranking.features.content_similarity import ContentRows
from recommender.ranking.features.genre_search import EMOTIONS, STYLES, TrackGenres
from recommender.ranking.features.history_match import MATCH_FEATURES
from recommender.ranking.features.ranking_features import UNCLICKED_IMPRESSIONS, VIEWS, RankingFeatures
from recommender.ranking.features.track_statistics import COUNTS, DAY_BITS, TrackStatistics
from recommender.ranking.features.user_features import BEHAVIORS
from recommender.ranking.fitted_ranker import FittedRanker
from recommender.ranking.ranker import Ranker
from recommender.ranking.ranker_config import FeatureConfig
from recommender.ranking.registry import RANKERS
from recommender.user.user_batch import UserBatch
from sequences.sequence_batch import SequenceBatch
from training.recipes import config_of

NOW = 20_000 * 86_400_000_000 + 3_600_000_000
MINUTE = 60_000_000
TRACKS, ARTISTS = 40, 12
LISTEN, SKIP, LEFT_ALONE = 2, 4, 6
OUTCOME_V = np.zeros(BEHAVIORS, np.float32)
OUTCOME_V[[2, 3]], OUTCOME_V[4] = 1, -1
ARTIST_OF_TRACK = np.array([0, 1, *(2 + track % (ARTISTS - 2) for track in range(TRACKS - 2))])

KINDS = TrackGenres(
    value_VK=np.array([[0, 0], [0, 0], *([1 + track % 3, 4 + track % 2] for track in range(TRACKS - 2))], np.int32),
    genre_type_U=np.array([-1, STYLES, STYLES, STYLES, EMOTIONS, EMOTIONS], np.int8),
)

CONTENT = ContentRows(np.random.default_rng(4).standard_normal((TRACKS, 6)).astype(np.float16))
CONTENT.row_VW[:2] = CONTENT.row_VW[5::7] = 0
CONTENT.row_VW[:] /= np.maximum(np.linalg.norm(CONTENT.row_VW, axis=1, keepdims=True), 1e-3)

Event = tuple[int, int, int]
"""Track, behavior code, end in µs; sequences are oldest first."""


def sequence(rows: Sequence[Sequence[Event]], length: int) -> SequenceBatch:
    """Return the events of each user, right-padded to `length`."""
    names = ("track_id", "behavior", "occurred_at", "ended_at")
    columns = {name: np.zeros((len(rows), length), np.int64) for name in names}
    ratio = np.zeros((len(rows), length), np.float32)
    for b, events in enumerate(rows):
        for n, (track, behavior, ended_at) in enumerate(events[-length:]):
            for name, value in zip(names, (track, behavior, ended_at, ended_at), strict=True):
                columns[name][b, n] = value
            ratio[b, n] = 0.1 if behavior == SKIP else 1.0
    return SequenceBatch(
        {**columns, "played_ratio": ratio}, np.array([min(len(events), length) for events in rows], np.int64)
    )


def user_batch(rows: Sequence[Sequence[Event]], length: int = 8, request_at: int = NOW) -> UserBatch:
    """Return one request per user; all events are plays, and skipped ones are negatives that were shown before."""
    events_by_view = dict(
        zip(
            VIEWS,
            (
                rows,
                rows,
                [[event for event in events if event[1] == SKIP] for events in rows],
            ),
            strict=True,
        )
    )
    events_by_view[UNCLICKED_IMPRESSIONS] = [
        [(track, LEFT_ALONE, at) for track, _, at in events] for events in events_by_view[VIEWS[2]]
    ]
    return UserBatch(
        user_ids=[f"u{b}" for b in range(len(rows))],
        request_at_B=np.full(len(rows), request_at),
        views={name: sequence(events, length) for name, events in events_by_view.items()},
        scene_B=["daily"] * len(rows),
        profile={"user_profile__plays_total": np.arange(len(rows), dtype=np.float32)},
    )


def history(count: int, seed: int) -> list[Event]:
    """Return random events at intervals of three minutes, the newest three minutes ago."""
    generator = np.random.default_rng(seed)
    tracks, skips = generator.integers(2, TRACKS, count), generator.random(count) < 0.4
    ends = NOW - 3 * MINUTE * np.arange(count, 0, -1)
    return [
        (int(track), SKIP if skip else LISTEN, int(end)) for track, skip, end in zip(tracks, skips, ends, strict=True)
    ]


def ranking_features(
    hard_search: bool = True,
    plays: int = 0,
    searches: bool = False,
    impressions: int = 0,
    kinds: bool = False,
    content: bool = False,
) -> RankingFeatures:
    """Return features with statistics known since yesterday for every second track."""
    items = np.arange(2, TRACKS, 2)
    statistics = TrackStatistics(
        (items << DAY_BITS) | 19_999, np.arange(len(items) * len(COUNTS), dtype=np.float32).reshape(len(items), -1)
    )
    parts = KINDS if kinds else None, CONTENT if content else None
    reads = FeatureConfig(hard_search, kinds, content, searches, plays, impressions)
    return RankingFeatures(ARTIST_OF_TRACK, OUTCOME_V, {"daily": 2}, statistics, reads, *parts)


def catalog() -> ItemFrequencies:
    """Return frequencies with which tracks from 30 on are too rare for their own embedding."""
    counts = torch.full((TRACKS,), 50)
    counts[30:] = 1
    return ItemFrequencies(counts, torch.full((ARTISTS,), 50))


def assert_equal_matches(
    features: RankingFeatures, count: int, items: np.ndarray, width: int, expected: Callable[[Any, int], list[float]]
) -> None:
    """The last columns of matches of a history of `count` events, and of another one, are the expected ones."""
    rows = [history(count, 1), history(3, 2)]
    side = features.prepare_users(user_batch(rows, length=80))
    found = features.prepare_candidates(side, np.tile(items, (2, 1))).matches_BCM[..., MATCH_FEATURES:]
    assert found.shape == (2, len(items), width)
    for b, events in enumerate(rows):
        for c, item in enumerate(items):
            np.testing.assert_allclose(found[b, c], expected(events, item), rtol=1e-4, atol=1e-5)


@cache
def grown_trees(hard_search: bool, searches: bool, impressions: int, kinds: bool, content: bool) -> BoostedTrees:
    """Return trees fitted on random labels over the dense features of some users."""
    features = ranking_features(hard_search, 0, searches, impressions, kinds, content)
    side = features.prepare_users(user_batch([history(40, seed) for seed in range(20)], length=64))
    items = np.tile(np.arange(2, TRACKS), (20, 1))
    made = features.prepare_candidates(side, items)
    dense = (part.reshape(items.size, -1) for part in (made.features_BCF, made.matches_BCM))
    numbers = np.concatenate([np.repeat(side.inputs.context_BU, items.shape[1], axis=0), *dense], axis=1)
    labels = np.random.default_rng(0).integers(0, 2, (len(numbers), 2)).astype(np.float32)
    return BoostedTrees.fit(numbers, labels, replace(config_of(RANKERS["sum_pooling"], "small").trees, count=20), 0, 1)


def network_of(ranker: FittedRanker) -> Ranker:
    """Return the network of a ranker."""
    return RANKERS[ranker.name].from_weights(ranker.resolved_config, ranker.tasks, ranker.weights)


def new_ranker(name: str, seed: int = 0, changes: Mapping[str, Any] | None = None) -> FittedRanker:
    """Return a ranker with large random weights; `changes` to the `debug` config by path."""
    torch.manual_seed(seed)
    config = change_config(config_of(RANKERS[name], "debug"), changes or {})
    model = RANKERS[name](config, catalog(), ("not_skipped", "full_play"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    reads = config.features
    switches = (reads.searches, reads.impressions, reads.genres, reads.content)
    features = ranking_features(reads.hard_search, reads.plays, *switches)
    if config.trees.count:
        model.set_tree_weights([0.5, 0.25])
        features = replace(features, trees=grown_trees(reads.hard_search, *switches))
    return FittedRanker(name, model.tasks, model.eval().export(), features, config, {})
