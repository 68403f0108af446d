"""The head that learns from whole requests: the order it learns, its probabilities, and what it is read beside."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.training.ranking_cases import TRACKS, catalogue, history, ranking_features, user_batch
from training.ranking import RANKERS
from training.ranking.features.search_registry import SEARCHES
from training.ranking.fitted_ranker import FittedRanker
from training.ranking.listwise_head import LambdaMARTConfig, LambdaMARTHead, ListwiseDataset, build_listwise_features
from training.ranking.task_weights import LISTWISE_HEAD

REQUESTS, CANDIDATES = 400, 20
CONFIG = LambdaMARTConfig(trees=30)


def requests(seed: int, numbers_: int = 6) -> ListwiseDataset:
    """A candidate is listened to the likelier the greater its first number is beside those of its own request."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(REQUESTS, CANDIDATES, numbers_)).astype(np.float32)
    # What all candidates of a request share says nothing about their order.
    rows[:, :, 1] = random.normal(size=(REQUESTS, 1))
    odds = rows[:, :, 0] * 2 - 2
    listened = random.random(odds.shape) < 1 / (1 + np.exp(-odds))
    return ListwiseDataset(rows.reshape(-1, numbers_), listened.ravel(), np.full(REQUESTS, CANDIDATES))


@cache
def fitted() -> LambdaMARTHead:
    return LambdaMARTHead.fit(requests(0), requests(1), CONFIG, threads=1)


def ranker(name: str = "target_attention") -> FittedRanker:
    torch.manual_seed(0)
    config = RANKERS[name].config("debug")
    model = RANKERS[name](config, catalogue(), ("not_skipped",))
    return FittedRanker(model, ranking_features(config.features.hard_search), config, {})


@cache
def beside_a_ranker() -> LambdaMARTHead:
    """Learned from the numbers of made-up users: what was played often is listened to."""
    features = ranking_features()
    side = features.prepare_users(user_batch([history(40, seed) for seed in range(40)], length=64))
    items = np.tile(np.arange(2, TRACKS), (40, 1))
    made = features.prepare_candidates(side, items)
    rows = build_listwise_features(side.inputs, made, features.user_feature_count)
    listened = made.matches_BCM[..., 0].numpy() > 1
    learned = ListwiseDataset(rows.reshape(-1, rows.shape[-1]), listened.ravel(), np.full(40, items.shape[1]))
    return LambdaMARTHead.fit(learned, learned, CONFIG, threads=1)


def test_what_is_likelier_stands_before_the_others() -> None:
    unseen = requests(2)
    said = fitted().logits(unseen.features_RN).reshape(REQUESTS, CANDIDATES)
    truth = unseen.features_RN[:, 0].reshape(REQUESTS, CANDIDATES)
    best = np.take_along_axis(truth, said.argmax(axis=1)[:, None], axis=1)
    assert best.mean() > 1.5  # of twenty normal numbers the greatest is 1.87 on average


def test_a_probability_means_what_it_says() -> None:
    unseen = requests(3)
    probability = 1 / (1 + np.exp(-fitted().logits(unseen.features_RN)))
    assert probability.mean() == pytest.approx(unseen.listened_R.mean(), abs=0.02)
    likely = probability > np.quantile(probability, 0.9)
    assert probability[likely].mean() == pytest.approx(unseen.listened_R[likely].mean(), abs=0.06)


def test_without_validation_the_scale_that_was_chosen_is_kept() -> None:
    nothing = ListwiseDataset(np.zeros((0, 6), np.float32), np.zeros(0, bool), np.zeros(0, np.int64))
    again = LambdaMARTHead.fit(requests(0), nothing, fitted().resolved_config, threads=1)
    assert again.resolved_config == fitted().resolved_config and len(again.resolved_config.platt_scale) == 2


def test_the_same_seed_grows_the_same_trees() -> None:
    again = LambdaMARTHead.fit(requests(0), requests(1), CONFIG, threads=1)
    unseen = requests(4).features_RN
    assert again.logits(unseen).tolist() == fitted().logits(unseen).tolist()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_where_all_or_none_was_listened_to_nothing_is_learned(share: float) -> None:
    learned = requests(0)
    same = replace(learned, listened_R=np.full(len(learned.listened_R), bool(share)))
    with pytest.raises(ValueError, match=r"400 past requests .* land more sessions"):
        LambdaMARTHead.fit(same, same, CONFIG, threads=1)


def test_it_is_saved_as_text_and_says_the_same(tmp_path: Path) -> None:
    fitted().save(tmp_path)
    assert {file.suffix for file in tmp_path.iterdir()} == {".txt", ".json"}
    loaded, unseen = LambdaMARTHead.load(tmp_path), requests(5).features_RN
    assert loaded.logits(unseen).tolist() == fitted().logits(unseen).tolist()
    assert loaded.resolved_config == fitted().resolved_config
    with pytest.raises(FileNotFoundError, match=r"training\.train head listened"):
        LambdaMARTHead.load(tmp_path / "elsewhere")


def test_a_ranker_says_it_beside_its_own_heads() -> None:
    users, items = user_batch([history(40, seed) for seed in range(3)], length=64), np.tile(np.arange(2, 12), (3, 1))
    alone = ranker().score(users, items)
    both = ranker().with_listwise_head(beside_a_ranker()).score(users, items)
    assert set(both) == {*alone, LISTWISE_HEAD} and LISTWISE_HEAD not in alone
    assert np.array_equal(both["not_skipped"], alone["not_skipped"])
    assert both[LISTWISE_HEAD].shape == items.shape and len(np.unique(both[LISTWISE_HEAD])) > 3


def test_a_candidate_is_judged_apart_from_the_others() -> None:
    one = ranker().with_listwise_head(beside_a_ranker())
    users = user_batch([history(40, 7)], length=64)
    together = one.score(users, np.arange(2, 22)[None, :])[LISTWISE_HEAD][0]
    alone = [one.score(users, np.array([[item]]))[LISTWISE_HEAD][0, 0] for item in range(2, 22)]
    assert together.tolist() == pytest.approx(alone, abs=0)


def test_rankers_that_ask_more_of_the_history_give_it_the_same_numbers() -> None:
    users, items = user_batch([history(40, seed) for seed in range(3)], length=64), np.tile(np.arange(2, 12), (3, 1))
    plain, more = ranking_features(), ranking_features(searches=tuple(SEARCHES), impressions=4, kinds=True)
    read = []
    for features in (plain, more):
        side = features.prepare_users(users)
        read.append(build_listwise_features(side.inputs, features.prepare_candidates(side, items)))
    assert np.array_equal(*read)


def test_a_ranker_without_hard_search_does_without() -> None:
    assert ranker("sum_pooling").with_listwise_head(beside_a_ranker()).listwise_head is None
    features = ranking_features(hard_search=False)
    side = features.prepare_users(user_batch([history(4, 0)]))
    with pytest.raises(ValueError, match="hard_search"):
        build_listwise_features(side.inputs, features.prepare_candidates(side, np.array([[2]])))
