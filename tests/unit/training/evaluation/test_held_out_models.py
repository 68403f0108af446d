"""Held-out models: rankers that read different features do not share their inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from config.dataclass_io import change_config
from recommender.ranking.boosted_trees import BoostedTrees
from recommender.ranking.event_embeddings import ItemFrequencies
from recommender.ranking.features.ranking_features import VIEWS, RankingFeatures
from recommender.ranking.features.track_statistics import COUNTS, TrackStatistics
from recommender.ranking.fitted_ranker import RANKERS, FittedRanker
from sequences.feature_services import ServiceContract
from tests.support.training.tiny_world import random_plays, write_marts
from training.data.offline_features import OfflineFeatures
from training.data.training_data import TrainingData
from training.evaluation.held_out_models import HeldOutModels
from training.ranking.case_batches import CaseBatches
from training.ranking.cases import RankingCases, ranking_cases
from training.recipes import config_of, recipe

NAME = "target_attention"
TREES = replace(config_of(RANKERS["sum_pooling"], "small").trees, count=10)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    folder = write_marts(tmp_path_factory.mktemp("held_out"), random_plays())
    services = {RANKERS[NAME].feature_service: ServiceContract(VIEWS)}
    return TrainingData(folder, "held_out", recipe("debug"), services=services)


@pytest.fixture(scope="module")
def cases(data: TrainingData) -> RankingCases:
    return ranking_cases(data).filter_part("test").take(np.arange(30))


def random_ranker(data: TrainingData, cases: RankingCases, trees_seed: int) -> FittedRanker:
    """Return a ranker with random weights and random trees."""
    torch.manual_seed(0)
    changes = {"features.content": False, "features.genres": False, "trees.count": 10}
    config, vocabulary = change_config(config_of(RANKERS[NAME], "debug"), changes), data.vocabulary
    statistics = TrackStatistics(np.zeros(0, dtype=np.int64), np.zeros((0, len(COUNTS)), dtype=np.float32))
    features = RankingFeatures.from_vocabulary(vocabulary, statistics, config.features)
    counts = ItemFrequencies(torch.full((len(vocabulary),), 100), torch.full((vocabulary.artist_count,), 100))
    model = RANKERS[NAME](config, counts, cases.tasks)
    batch = CaseBatches(cases, OfflineFeatures(data), model.feature_service, features)[range(len(cases))]
    model.fit_quantiles(batch.users, batch.candidates)
    parts = batch.users.context_BU, batch.candidates.features_BCF[:, 0], batch.candidates.matches_BCM[:, 0]
    rows, labels = np.repeat(torch.cat(parts, dim=1).numpy(), 100, axis=0), np.random.default_rng(trees_seed)
    label_RT = labels.integers(0, 2, (len(rows), len(cases.tasks))).astype(np.float32)
    features = replace(
        features,
        trees=BoostedTrees.fit(rows, label_RT, TREES, 0, 1),
    )
    model.set_tree_weights([1.0] * len(cases.tasks))
    return FittedRanker(model, features, config, {})


def test_rankers_with_different_trees_read_their_own(data: TrainingData, cases: RankingCases) -> None:
    rankers = [random_ranker(data, cases, seed) for seed in (1, 2)]

    def predict(rankers: dict[str, FittedRanker]) -> dict[str, np.ndarray]:
        return HeldOutModels(data, OfflineFeatures(data), {}, rankers).predict(cases, "test")

    together = predict(dict(zip("ab", rankers, strict=True)))
    for name, ranker in zip("ab", rankers, strict=True):
        np.testing.assert_array_equal(together[name], predict({name: ranker})[name])
