"""Boosted trees of a ranker: how many of them are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.special
from sklearn.metrics import log_loss

from recommender.ranking.boosted_trees import STAGE, BoostedTrees
from recommender.ranking.registry import RANKERS
from training.recipes import config_of

COUNT = 105
TREES = replace(config_of(RANKERS["sum_pooling"], "small").trees, count=COUNT, learning_rate=0.2)


def examples(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Six features, and noisy labels of two tasks that depend on the first feature; some are unknown."""
    random = np.random.default_rng(seed)
    features_RN = random.normal(size=(rows, 6)).astype(np.float32)
    probability_R = 1 / (1 + np.exp(-features_RN[:, 0]))
    labels_RT = (random.random((rows, 2)) < probability_R[:, None]).astype(np.float32)
    labels_RT[::7, 1] = np.nan
    return features_RN, labels_RT


@pytest.fixture(scope="module")
def trees() -> BoostedTrees:
    fitted = BoostedTrees.fit(*examples(0, 4_000), TREES, 0, 1)
    assert fitted is not None and fitted.counts == (COUNT, COUNT)
    return fitted


def test_as_many_trees_are_kept_as_are_best_on_other_rows(trees: BoostedTrees) -> None:
    features_RN, labels_RT = examples(1, 2_000)
    for every, best, label_R in zip(
        trees.tasks, trees.keep_best(features_RN, labels_RT).tasks, labels_RT.T, strict=True
    ):
        known_R = ~np.isnan(label_R)
        rows, labels = features_RN[known_R], label_R[known_R]
        counts = [*range(STAGE, COUNT, STAGE), COUNT]
        losses = [log_loss(labels, scipy.special.expit(every.predict_rows(rows, count=count))) for count in counts]
        assert best.count == counts[int(np.argmin(losses))] < COUNT
        np.testing.assert_array_equal(best.predict_rows(rows), every.predict_rows(rows, count=best.count))


def test_a_task_without_labels_or_with_useful_trees_keeps_all(trees: BoostedTrees) -> None:
    features_RN, labels_RT = examples(0, 4_000)  # rows of the fit: every tree makes their loss smaller
    labels_RT[:, 0] = np.nan
    assert trees.keep_best(features_RN, labels_RT).counts == (COUNT, COUNT)


def test_a_task_without_both_labels_has_no_trees(tmp_path: Path) -> None:
    features_RN, labels_RT = examples(0, 900)
    labels_RT[:, 1] = np.nan
    trees = BoostedTrees.fit(features_RN, labels_RT, replace(TREES, count=3), 0, 1)
    assert trees is not None and trees.counts == (3, 0)
    assert BoostedTrees.fit(features_RN, labels_RT[:, 1:], TREES, 0, 1) is None
    trees.save(tmp_path)
    read = BoostedTrees.load(tmp_path, 2)
    assert read is not None and BoostedTrees.load(tmp_path / "none", 2) is None
    inputs = features_RN[:2, :1], features_RN[:8, 1:3].reshape(2, 4, 2), features_RN[:8, 3:].reshape(2, 4, 3)
    logits_BCT = trees.predict_logits(*inputs)
    assert logits_BCT[..., 0].any() and not logits_BCT[..., 1].any()
    np.testing.assert_array_equal(read.predict_logits(*inputs), logits_BCT)
