"""Ranking metrics of predicted probabilities, with confidence intervals over users.

`auc`: probability that a random positive is ranked above a random negative, over all plays. `gauc`: AUC per user,
weighted by plays; users with one class are excluded. `logloss`: mean negative log likelihood (nats). `ece`: expected
calibration error over 15 bins of equal width. A single user has no intervals.

Legend: N plays (cases), U users, Q quantile bins, R bootstrap samples, B calibration bins.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.evaluation.metrics import bootstrap
from training.evaluation.metrics.bootstrap import Estimate

METRICS = ("auc", "gauc", "logloss", "ece")
CALIBRATION_BINS = 15
# Bootstrap samples of `auc` use quantile bins of the score (ties count half), which changes it by less than 1e-4; its
# value is exact.
QUANTILE_BINS = 2048

Floats = NDArray[np.float64]


def measure(
    label_N: NDArray[np.generic], probability_N: NDArray[np.generic], user_N: NDArray[np.generic]
) -> dict[str, Estimate]:
    """All METRICS.

    Args:
        label_N: 0 or 1.
        probability_N: Predicted probabilities.
        user_N: User of each play.

    Raises:
        ValueError: A probability is not in [0, 1].
    """
    probability = np.asarray(probability_N, dtype=np.float64)
    invalid = ~((probability >= 0) & (probability <= 1))
    if invalid.any():
        raise ValueError(f"probability {probability[invalid][0]} at row {int(invalid.argmax())} is outside [0, 1]")
    label = np.asarray(label_N, dtype=np.float64)
    with_plays, user = np.unique(user_N, return_inverse=True)
    users = len(with_plays)
    metrics = {
        "auc": auc(label, probability, user, users),
        "gauc": gauc(label, probability, user, users),
        "logloss": logloss(label, probability, user, users),
        "ece": calibration_error(label, probability, user, users),
    }
    if users > 1:
        return metrics
    return {name: replace(metric, draws_R=np.full_like(metric.draws_R, np.nan)) for name, metric in metrics.items()}


def auc_per_group(label_N: Floats, score_N: Floats, group_N: NDArray[np.int64], groups: int) -> Floats:
    """AUC of each group by the rank-sum formula with mean ranks for ties; NaN for a group with one class."""
    scores = pl.DataFrame({"group": group_N, "score": score_N})
    rank_N = scores.select(pl.col("score").rank("average").over("group")).to_series().to_numpy()
    positives = np.bincount(group_N, weights=label_N, minlength=groups)
    negatives = np.bincount(group_N, minlength=groups) - positives
    rank_sum = np.bincount(group_N, weights=rank_N * label_N, minlength=groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        area: Floats = (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)
    return area


def auc(label_N: Floats, probability_N: Floats, user_N: NDArray[np.int64], users: int) -> Estimate:
    """AUC over all plays; a bootstrap sample counts the plays of a user as often as it contains the user."""
    exact = float(auc_per_group(label_N, probability_N, np.zeros(len(label_N), dtype=np.int64), 1)[0])
    if np.isnan(exact):
        return bootstrap.NO_ESTIMATE
    edges = np.unique(np.quantile(probability_N, np.linspace(0, 1, QUANTILE_BINS + 1)[1:-1]))
    cell = user_N * (len(edges) + 1) + np.searchsorted(edges, probability_N)
    shape, size = (users, len(edges) + 1), users * (len(edges) + 1)
    positive_UQ = np.bincount(cell, weights=label_N, minlength=size).reshape(shape)
    negative_UQ = np.bincount(cell, weights=1 - label_N, minlength=size).reshape(shape)

    def of_counts(counts_RU: Floats) -> Floats:
        positive_RQ, negative_RQ = counts_RU @ positive_UQ, counts_RU @ negative_UQ
        below_RQ = np.cumsum(negative_RQ, axis=1) - negative_RQ / 2
        pairs_R = positive_RQ.sum(1) * negative_RQ.sum(1)
        # A sample with only one class has no pair; its AUC is defined as 0.5.
        area_R: Floats = np.where(pairs_R > 0, (positive_RQ * below_RQ).sum(1) / np.maximum(pairs_R, 1), 0.5)
        return area_R

    return Estimate(exact, bootstrap.statistic(of_counts, users).draws_R)


def gauc(label_N: Floats, probability_N: Floats, user_N: NDArray[np.int64], users: int) -> Estimate:
    """Mean AUC per user, weighted by plays."""
    area_U = auc_per_group(label_N, probability_N, user_N, users)
    return bootstrap.mean(area_U, np.bincount(user_N, minlength=users))


def logloss(label_N: Floats, probability_N: Floats, user_N: NDArray[np.int64], users: int) -> Estimate:
    """Mean log loss over plays, with probabilities clipped to [1e-7, 1 - 1e-7]."""
    probability = np.clip(probability_N, 1e-7, 1 - 1e-7)
    loss_N = -(label_N * np.log(probability) + (1 - label_N) * np.log1p(-probability))
    plays_U = np.bincount(user_N, minlength=users)
    return bootstrap.mean(np.bincount(user_N, weights=loss_N, minlength=users) / np.maximum(plays_U, 1), plays_U)


def calibration_error(label_N: Floats, probability_N: Floats, user_N: NDArray[np.int64], users: int) -> Estimate:
    """Expected calibration error: mean |predicted probability - observed rate| over bins, weighted by plays."""
    bins_N = _bins(probability_N)
    cell, size = user_N * CALIBRATION_BINS + bins_N, users * CALIBRATION_BINS
    # In a bin, plays * |predicted - observed| = |sum of predictions - sum of labels|, so one sum per user and bin
    # suffices.
    excess_UB = np.bincount(cell, weights=probability_N - label_N, minlength=size).reshape(users, CALIBRATION_BINS)
    plays_U = np.bincount(user_N, minlength=users)
    return bootstrap.statistic(lambda counts_RU: np.abs(counts_RU @ excess_UB).sum(1) / (counts_RU @ plays_U), users)


def _bins(probability_N: Floats) -> NDArray[np.int64]:
    return np.minimum((probability_N * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
