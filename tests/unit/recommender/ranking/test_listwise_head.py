"""The listwise head: its order, its calibration, and its scores beside a ranker's."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from recommender.nn.trees import PastRequests
from recommender.ranking.fitted_ranker import RANKERS, FittedRanker
from recommender.ranking.listwise_head import LambdaMARTConfig, LambdaMARTHead, build_listwise_features
from recommender.ranking.task_weights import LISTWISE_HEAD
from tests.support.training.ranking_cases import TRACKS, catalog, history, ranking_features, user_batch
from training.recipes import config_of, read_section

REQUESTS, CANDIDATES = 400, 20
CONFIG = replace(read_section("small", LISTWISE_HEAD, LambdaMARTConfig), trees=30)


def requests(seed: int, features: int = 6) -> PastRequests:
    """Return requests in which candidates with a larger first feature are more likely to be listened to."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(REQUESTS, CANDIDATES, features)).astype(np.float32)
    # A feature shared by all candidates of a request does not affect their order.
    rows[:, :, 1] = random.normal(size=(REQUESTS, 1))
    odds = rows[:, :, 0] * 2 - 2
    listened = random.random(odds.shape) < 1 / (1 + np.exp(-odds))
    return PastRequests(rows.reshape(-1, features), listened.ravel(), np.full(REQUESTS, CANDIDATES))


@cache
def fitted() -> LambdaMARTHead:
    return LambdaMARTHead.fit(requests(0), requests(1), CONFIG, threads=1)


def ranker(name: str = "target_attention") -> FittedRanker:
    torch.manual_seed(0)
    config = config_of(RANKERS[name], "debug")
    model = RANKERS[name](config, catalog(), ("not_skipped",))
    return FittedRanker(
        model, ranking_features(config.features.hard_search, content=config.features.content), config, {}
    )


@cache
def head_of_ranker_features() -> LambdaMARTHead:
    """Return a head fitted on a ranker's features of synthetic users: tracks with many plays are listened to."""
    features = ranking_features()
    side = features.prepare_users(user_batch([history(40, seed) for seed in range(40)], length=64))
    items = np.tile(np.arange(2, TRACKS), (40, 1))
    made = features.prepare_candidates(side, items)
    rows = build_listwise_features(side.inputs, made, features.reads.user_feature_count)
    listened = made.matches_BCM[..., 0].numpy() > 1
    learned = PastRequests(rows.reshape(-1, rows.shape[-1]), listened.ravel(), np.full(40, items.shape[1]))
    return LambdaMARTHead.fit(learned, learned, CONFIG, threads=1)


def test_probabilities_are_calibrated() -> None:
    unseen = requests(3)
    probability = 1 / (1 + np.exp(-fitted().logits(unseen.features_RN)))
    assert probability.mean() == pytest.approx(unseen.is_target_R.mean(), abs=0.02)
    likely = probability > np.quantile(probability, 0.9)
    assert probability[likely].mean() == pytest.approx(unseen.is_target_R[likely].mean(), abs=0.06)


def test_a_saved_head_gives_the_same_logits(tmp_path: Path) -> None:
    fitted().save(tmp_path)
    assert {file.suffix for file in tmp_path.iterdir()} == {".txt", ".json"}
    loaded, unseen = LambdaMARTHead.load(tmp_path), requests(5).features_RN
    assert loaded.logits(unseen).tolist() == fitted().logits(unseen).tolist()
    assert loaded.resolved_config == fitted().resolved_config
    with pytest.raises(FileNotFoundError, match=r"training\.train head listened"):
        LambdaMARTHead.load(tmp_path / "elsewhere")


def test_a_ranker_with_the_head_has_one_more_task() -> None:
    users, items = user_batch([history(40, seed) for seed in range(3)], length=64), np.tile(np.arange(2, 12), (3, 1))
    alone = ranker().score(users, items)
    both = ranker().with_listwise_head(head_of_ranker_features()).score(users, items)
    assert set(both) == {*alone, LISTWISE_HEAD} and LISTWISE_HEAD not in alone
    assert np.array_equal(both["not_skipped"], alone["not_skipped"])
    assert both[LISTWISE_HEAD].shape == items.shape and len(np.unique(both[LISTWISE_HEAD])) > 3
    assert ranker("sum_pooling").with_listwise_head(head_of_ranker_features()).listwise_head is None, "no hard search"
