"""Ranking metrics by slice: history length and skip rate of the user, and whether the user had played the track.

Slices use only information from before the case. Legend: R cases, U users.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.plays import PARTS
from training.data.training_data import TrainingData
from training.evaluation.metrics import ranking_metrics
from training.evaluation.metrics.channel_overlap import HISTORY_EDGES
from training.ranking.cases import RankingCases

SKIP_EDGES = (0.0, 0.2, 0.4, 0.6, 1.0)
MIN_CASES = 200  # of a slice
UNKNOWN = 1  # code of a track outside the vocabulary

Masks = dict[str, NDArray[np.bool_]]


def slice_masks(data: TrainingData, cases: RankingCases) -> Masks:
    """Mask [R] of each slice, e.g. `{"plays 0-99": [R]}`; slices of one kind are disjoint.

    The skip rate is that of the train part; users without plays there are in no slice of this kind. Tracks outside the
    vocabulary are new to every user.
    """
    before_R, is_known_R = _prior_plays(data, cases)
    masks: Masks = {}
    for low, high in zip(HISTORY_EDGES, [*HISTORY_EDGES[1:], None], strict=True):
        name = f"plays {low:,}-{high - 1:,}" if high else f"plays {low:,}+"
        masks[name] = (before_R >= low) & (before_R < (high or np.inf))
    share_R = _skip_share(data)[cases.user_R]
    for below, above in pairwise(SKIP_EDGES):
        is_last = above == SKIP_EDGES[-1]
        name = f"skips {below:.0%}+" if is_last else f"skips {below:.0%} to {above:.0%}"
        masks[name] = (share_R >= below) & ((share_R <= above) if is_last else (share_R < above))
    return masks | {"track new to the user": ~is_known_R, "track played before": is_known_R}


def measure_by_slice(
    masks: Masks, label_R: NDArray[np.float32], probabilities: Mapping[str, NDArray[np.float32]], user_R: NDArray[Any]
) -> dict[str, Any]:
    """Metrics by slice, for slices with at least MIN_CASES cases and both classes.

    Returns:
        By slice: `cases`, `users`, `rankers` (name → metric → interval) and `differences` ("A - B" → metric → interval,
        paired over users; A is a later ranker than B).
    """
    is_labeled_R = ~np.isnan(label_R)
    content = {}
    for slice_name, mask_R in masks.items():
        rows = np.flatnonzero(mask_R & is_labeled_R)
        if len(rows) < MIN_CASES or label_R[rows].min() == label_R[rows].max():
            continue
        measured = {
            name: ranking_metrics.measure(label_R[rows], probability_R[rows], user_R[rows])
            for name, probability_R in probabilities.items()
        }
        content[slice_name] = {
            "cases": len(rows),
            "users": len(np.unique(user_R[rows])),
            "rankers": {
                name: {metric: estimate.interval() for metric, estimate in table.items()}
                for name, table in measured.items()
            },
            "differences": {
                f"{high} - {low}": {
                    metric: (measured[high][metric] - measured[low][metric]).interval()
                    for metric in ranking_metrics.METRICS
                }
                for low, high in combinations(measured, 2)
            },
        }
    return content


def _prior_plays(data: TrainingData, cases: RankingCases) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Number of plays that the user had started before each case, and whether the track was among them."""
    plays = data.plays
    before_R, is_known_R = np.zeros(len(cases), dtype=np.int64), np.zeros(len(cases), dtype=bool)
    order = np.argsort(cases.user_R, kind="stable")
    users, first = np.unique(cases.user_R[order], return_index=True)
    for user, rows in zip(users.tolist(), np.split(order, first[1:]), strict=True):
        user_rows = slice(plays.offset_U1[user], plays.offset_U1[user + 1])
        times, at, item = plays.request_at_P[user_rows], cases.request_at_R[rows], cases.item_R[rows]
        before_R[rows] = np.searchsorted(times, at)
        tracks, begin = np.unique(plays.track_P[user_rows], return_index=True)
        position = np.searchsorted(tracks, item)
        played = np.flatnonzero((position < len(tracks)) & (item > UNKNOWN))
        played = played[tracks[position[played]] == item[played]]
        is_known_R[rows[played]] = times[begin[position[played]]] < at[played]
    return before_R, is_known_R


def _skip_share(data: TrainingData) -> NDArray[np.float64]:
    """Skip rate of each user in the train part [U]; NaN without plays."""
    plays = data.plays
    is_train = plays.part_P == PARTS.index("train")
    count_U = np.bincount(plays.user_P[is_train], minlength=len(data.user_ids_U))
    skips_U = np.bincount(
        plays.user_P[is_train], weights=~plays.is_listened_P[is_train], minlength=len(data.user_ids_U)
    )
    share_U: NDArray[np.float64] = np.divide(skips_U, count_U, out=np.full(len(count_U), np.nan), where=count_U > 0)
    return share_U
