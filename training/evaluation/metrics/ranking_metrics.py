"""How well a ranker's probabilities order and foretell what happened, over all plays and within each user.

`auc`: a random positive above a random negative, all plays together. `gauc`: each user's own AUC, weighted by plays;
users with one class are left out. `logloss`: mean negative log likelihood (nats). `ece`: expected calibration error
over 15 equal bins. Intervals draw users (see `bootstrap.py`); of one user there is none. Legend: N plays, U users, Q
quantile bins. Knows nothing about models.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics import bootstrap
from training.evaluation.metrics.bootstrap import Estimate

METRICS = ("auc", "gauc", "logloss", "ece")
CALIBRATION_BINS = 15
# Draws of `auc` see the score in this many quantile bins (a tie counts half), which moves it by less than 1e-4; its value is exact.
QUANTILE_BINS = 2048

Floats = NDArray[np.float64]


def measure(
    label_N: NDArray[np.generic], probability_N: NDArray[np.generic], user_N: NDArray[np.generic]
) -> dict[str, Estimate]:
    """Every metric of METRICS with its bootstraps. Labels are 0 or 1.

    Raises:
        ValueError: a probability is not a number between 0 and 1.
    """
    probability = np.asarray(probability_N, dtype=np.float64)
    bad = ~((probability >= 0) & (probability <= 1))
    if bad.any():
        raise ValueError(
            f"probability {probability[bad][0]} at row {int(bad.argmax())} is outside [0, 1]; rankers give probabilities"
        )
    label = np.asarray(label_N, dtype=np.float64)
    users, user = np.unique(user_N, return_inverse=True)
    measured = {
        "auc": auc(label, probability, user, len(users)),
        "gauc": gauc(label, probability, user, len(users)),
        "logloss": logloss(label, probability, user, len(users)),
        "ece": calibration_error(label, probability, user, len(users)),
    }
    if len(users) > 1:
        return measured
    return {name: replace(one, draws_R=np.full_like(one.draws_R, np.nan)) for name, one in measured.items()}


def auc_per_group(label_N: Floats, score_N: Floats, group_N: NDArray[np.int64], groups: int) -> Floats:
    """AUC of each group by ranks, ties at their mean rank; NaN for a group with one class."""
    order = np.lexsort((score_N, group_N))
    group, score, label = group_N[order], score_N[order], label_N[order]
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (group[1:] != group[:-1]) | (score[1:] != score[:-1])
    first = np.flatnonzero(is_new)
    last = np.append(first[1:], len(order))
    tie = np.cumsum(is_new) - 1
    begin = np.searchsorted(group, np.arange(groups))
    rank = (first[tie] + last[tie] + 1) / 2 - begin[group]
    positives = np.bincount(group, weights=label, minlength=groups)
    negatives = np.bincount(group, minlength=groups) - positives
    rank_sum = np.bincount(group, weights=rank * label, minlength=groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        area: Floats = (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)
    return area


def auc(label_N: Floats, probability_N: Floats, user_N: NDArray[np.int64], users: int) -> Estimate:
    """Over all plays together; a draw counts a user's plays as often as it drew the user."""
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
        # A draw of users who all have one class has no pair: it says nothing, like a coin.
        area_R: Floats = np.where(pairs_R > 0, (positive_RQ * below_RQ).sum(1) / np.maximum(pairs_R, 1), 0.5)
        return area_R

    return Estimate(exact, bootstrap.statistic(of_counts, users).draws_R)


def gauc(label_N: Floats, probability_N: Floats, user_N: NDArray[np.int64], users: int) -> Estimate:
    """Each user's AUC, weighted by the user's plays."""
    return bootstrap.mean(auc_per_group(label_N, probability_N, user_N, users), np.bincount(user_N, minlength=users))


def logloss(label_N: Floats, probability_N: Floats, user_N: NDArray[np.int64], users: int) -> Estimate:
    """Mean over plays, probabilities kept 1e-7 away from 0 and 1."""
    probability = np.clip(probability_N, 1e-7, 1 - 1e-7)
    loss_N = -(label_N * np.log(probability) + (1 - label_N) * np.log1p(-probability))
    plays_U = np.bincount(user_N, minlength=users)
    return bootstrap.mean(np.bincount(user_N, weights=loss_N, minlength=users) / np.maximum(plays_U, 1), plays_U)


def calibration_error(label_N: Floats, probability_N: Floats, user_N: NDArray[np.int64], users: int) -> Estimate:
    """Mean distance between the probability said and the share that came true, over bins of equal width, weighted by
    plays.
    """
    bins_N = _bins(probability_N)
    cell, size = user_N * CALIBRATION_BINS + bins_N, users * CALIBRATION_BINS
    # In a bin, plays × |said − came true| = |sum of said − sum of labels|: one sum a user and bin is all a draw needs.
    excess_UB = np.bincount(cell, weights=probability_N - label_N, minlength=size).reshape(users, CALIBRATION_BINS)
    plays_U = np.bincount(user_N, minlength=users)
    return bootstrap.statistic(lambda counts_RU: np.abs(counts_RU @ excess_UB).sum(1) / (counts_RU @ plays_U), users)


def calibration_curve(
    label_N: NDArray[np.generic], probability_N: NDArray[np.generic]
) -> list[tuple[float, float, int]]:
    """For each bin that holds plays: (mean probability said, share that came true, plays)."""
    label, probability = np.asarray(label_N, dtype=np.float64), np.asarray(probability_N, dtype=np.float64)
    bins_N = _bins(probability)
    count = np.bincount(bins_N, minlength=CALIBRATION_BINS)
    said = np.bincount(bins_N, weights=probability, minlength=CALIBRATION_BINS)
    true = np.bincount(bins_N, weights=label, minlength=CALIBRATION_BINS)
    return [
        (float(said[b] / count[b]), float(true[b] / count[b]), int(count[b]))
        for b in range(CALIBRATION_BINS)
        if count[b]
    ]


def _bins(probability_N: Floats) -> NDArray[np.int64]:
    return np.minimum((probability_N * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
