"""The listwise head: its calibration and its file."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from recommender.nn.trees import PastRequests
from recommender.ranking.listwise_head import LambdaMARTConfig, LambdaMARTHead
from recommender.ranking.task_weights import LISTWISE_HEAD
from training.recipes import read_section

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


def test_probabilities_are_calibrated() -> None:
    unseen = requests(3)
    slope, offset = fitted().resolved_config.platt_scale
    probability = 1 / (1 + np.exp(-slope * fitted().trees.predict_rows(unseen.features_RN) - offset))
    assert probability.mean() == pytest.approx(unseen.is_target_R.mean(), abs=0.02)
    likely = probability > np.quantile(probability, 0.9)
    assert probability[likely].mean() == pytest.approx(unseen.is_target_R[likely].mean(), abs=0.06)


def test_a_saved_head_gives_the_same_scores(tmp_path: Path) -> None:
    fitted().save(tmp_path)
    loaded, unseen = LambdaMARTHead.load(tmp_path), requests(5).features_RN
    assert loaded.trees.predict_rows(unseen).tolist() == fitted().trees.predict_rows(unseen).tolist()
    assert loaded.resolved_config == fitted().resolved_config
