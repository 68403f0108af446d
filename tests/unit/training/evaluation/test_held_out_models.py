"""Held-out models: rankers that read different features do not share their inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recommender.ranking.boosted_trees import BoostedTrees
from recommender.ranking.fitted_ranker import FittedRanker
from tests.support.training.ranking_cases import new_ranker
from training.data.offline_features import OfflineFeatures
from training.data.training_data import TrainingData
from training.evaluation.held_out_models import HeldOutModels
from training.ranking.labeled_cases import RankingCases, ranking_cases

NAME = "target_attention"


def predict(data: TrainingData, cases: RankingCases, **rankers: FittedRanker) -> dict[str, np.ndarray]:
    return HeldOutModels(data, OfflineFeatures(data), {}, rankers).predict(cases, "test")


def test_rankers_with_different_trees_read_their_own(data: TrainingData) -> None:
    cases = ranking_cases(data).filter_part("test").take(np.arange(30))
    rankers = {name: new_ranker(NAME, changes={"trees.count": 20}) for name in ("first", "second")}
    features = rankers["second"].features
    rankers["second"].features = replace(features, trees=BoostedTrees(features.trees.tasks[::-1]))
    together = predict(data, cases, **rankers)
    for name, ranker in rankers.items():
        np.testing.assert_array_equal(together[name], predict(data, cases, **{name: ranker})[name])
