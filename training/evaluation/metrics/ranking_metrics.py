"""Ranking metrics of predicted probabilities, with confidence intervals over users, for all plays and by slice.

`auc`: probability that a random positive is ranked above a random negative, over all plays. `gauc`: AUC per user,
weighted by plays; users with one class are excluded. `logloss`: mean negative log likelihood (nats). `ece`: expected
calibration error over 15 bins of equal width. A single user has no intervals.

Slices are by history length of the user, and by whether the user had played the track; they use only information from before the
case.

Legend: N plays (cases), U users, Q quantile bins, R bootstrap samples, B calibration bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sequences.sequence_batch import UNKNOWN
from training.data.training_data import TrainingData
from training.evaluation.metrics import bootstrap
from training.evaluation.metrics.bootstrap import Estimate
from training.evaluation.metrics.recall_by_group import HISTORY_EDGES
from training.ranking.labeled_cases import RankingCases

METRICS = ("auc", "gauc", "logloss", "ece")
CALIBRATION_BINS = 15
# Bootstrap samples of `auc` use quantile bins of the score (ties count half), which changes it by less than 1e-4; its
# value is exact.
QUANTILE_BINS = 2048
MIN_CASES = 200  # of a slice

Floats = NDArray[np.float64]
Masks = dict[str, NDArray[np.bool_]]


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


def slice_masks(data: TrainingData, cases: RankingCases) -> Masks:
    """Mask [N] of each slice, e.g. `{"plays 0-99": [N]}`; slices of one kind are disjoint.

    Tracks outside the vocabulary are new to every user.
    """
    before_N, is_known_N = _prior_plays(data, cases)
    masks: Masks = {}
    for low, high in zip(HISTORY_EDGES, [*HISTORY_EDGES[1:], None], strict=True):
        name = f"plays {low:,}-{high - 1:,}" if high else f"plays {low:,}+"
        masks[name] = (before_N >= low) & (before_N < (high or np.inf))
    return masks | {"track new to the user": ~is_known_N, "track played before": is_known_N}


def measure_by_slice(
    masks: Masks, label_N: NDArray[np.float32], probabilities: Mapping[str, NDArray[np.float32]], user_N: NDArray[Any]
) -> dict[str, Any]:
    """Metrics by slice, for slices with at least MIN_CASES cases and both classes.

    Returns:
        By slice: `cases`, `users`, `rankers` (name → metric → interval) and `differences` ("A - B" → metric → interval,
        paired over users; A is a later ranker than B).
    """
    is_labeled_N = ~np.isnan(label_N)
    content = {}
    for slice_name, mask_N in masks.items():
        rows = np.flatnonzero(mask_N & is_labeled_N)
        if len(rows) < MIN_CASES or label_N[rows].min() == label_N[rows].max():
            continue
        measured = {
            name: measure(label_N[rows], probability_N[rows], user_N[rows])
            for name, probability_N in probabilities.items()
        }
        content[slice_name] = {
            "cases": len(rows),
            "users": len(np.unique(user_N[rows])),
            "rankers": {
                name: {metric: estimate.interval() for metric, estimate in table.items()}
                for name, table in measured.items()
            },
            "differences": {
                f"{high} - {low}": {
                    metric: (measured[high][metric] - measured[low][metric]).interval() for metric in METRICS
                }
                for low, high in combinations(measured, 2)
            },
        }
    return content


def _prior_plays(data: TrainingData, cases: RankingCases) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Number of plays that the user had started before each case, and whether the track was among them."""
    columns = "user", "item", "at"
    plays = pl.DataFrame([data.plays.user_P, data.plays.track_P, data.plays.request_at_P], columns).cast(pl.Int64)
    rows = pl.DataFrame([cases.user_R, cases.item_R, cases.request_at_R], columns).cast(pl.Int64).with_row_index()
    numbered = plays.sort("at").with_columns(before=pl.int_range(1, pl.len() + 1).over("user"))
    known = plays.sort("at").with_columns(is_known=pl.col("item") > UNKNOWN)
    for earlier, keys in ((numbered.drop("item"), ["user"]), (known, ["user", "item"])):
        rows = rows.sort("at").join_asof(earlier, on="at", by=keys, allow_exact_matches=False, check_sortedness=False)
    found = rows.sort("index").select(pl.col("before").fill_null(0), pl.col("is_known").fill_null(False))
    return found["before"].to_numpy(), found["is_known"].to_numpy()


def _bins(probability_N: Floats) -> NDArray[np.int64]:
    return np.minimum((probability_N * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
