"""AUC, GAUC, log loss and calibration error against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from tests.support.training import reference_metrics
from training.evaluation.metrics import ranking_metrics


def world(plays: int = 4000, users: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities (many tied) and users; user 0 always listens."""
    random = np.random.default_rng(11)
    user = random.integers(0, users, plays)
    probability = np.round(random.random(plays), 2)
    label = (random.random(plays) < 0.3 + 0.5 * probability).astype(int)
    label[user == 0] = 1
    return label, probability, user


def test_gauc_is_the_mean_auc_of_users_weighted_by_plays() -> None:
    label, probability, user = world(600, 12)
    masks = [user == number for number in range(1, 12)]  # user 0 has one class only
    values = np.array([roc_auc_score(label[mask], probability[mask]) for mask in masks])
    assert ranking_metrics.measure(label, probability, user)["gauc"].interval() == pytest.approx(
        reference_metrics.interval(values, np.array([mask.sum() for mask in masks]))
    )


def test_auc_and_logloss_against_sklearn() -> None:
    label, probability, user = world()
    measured = ranking_metrics.measure(label, probability, user)
    assert measured["auc"].value == pytest.approx(roc_auc_score(label, probability))
    assert measured["logloss"].value == pytest.approx(log_loss(label, np.clip(probability, 1e-7, 1 - 1e-7)))


@pytest.mark.parametrize("sample", [0, 1, 999])
def test_auc_of_bootstrap_samples(sample: int) -> None:
    label, probability, user = world()
    draws = ranking_metrics.measure(label, probability, user)["auc"].draws_R
    users = np.random.default_rng(0).integers(30, size=(1000, 30))[sample]
    rows = np.concatenate([np.flatnonzero(user == number) for number in users])
    assert draws[sample] == pytest.approx(roc_auc_score(label[rows], probability[rows]), abs=1e-4)


def test_calibration_error_by_hand() -> None:
    label = np.array([1, 0, 1, 1])
    probability = np.array([0.30, 0.31, 0.95, 0.99])  # bins of 1/15: 0.30 and 0.31 share one, 0.95 and 0.99 the last
    assert ranking_metrics.measure(label, probability, np.zeros(4, dtype=int))["ece"].value == pytest.approx(
        (abs(0.61 - 1) + abs(1.94 - 2)) / 4
    )


def test_single_user_has_no_interval() -> None:
    label, probability = np.array([1, 0, 1, 1, 0]), np.array([0.9, 0.2, 0.6, 0.3, 0.4])
    metrics = ranking_metrics.measure(label, probability, np.zeros(5, dtype=np.int64))
    intervals = np.array([estimate.interval() for estimate in metrics.values()])
    assert np.isfinite(intervals[:, 0]).all() and np.isnan(intervals[:, 1:]).all()
    assert metrics["auc"].value == pytest.approx(5 / 6)
