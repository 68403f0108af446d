"""Metrics of candidate lists: recall and NDCG by part of the targets, coverage of the catalog, exposure of new items.

Parts: `all` targets of a session, `repeat` (played before), `discovery` (not played before), `reachable` (discovery in
the catalog). Lists are drawn from the full catalog; there are no sampled metrics. A case counts for a part if it has
such a target; values are averaged over the cases of a user and then over users. Intervals resample users, or cases if
there are few users.

Legend: C cases, K candidates, U users, V vocabulary, A artists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sequences.sequence_batch import FIRST_CODE
from training.data.plays import PARTS
from training.data.recall_cases import MIN_USERS, RecallCases, mean_per_user, recall_from_hits
from training.data.training_data import TrainingData
from training.evaluation.metrics import bootstrap
from training.evaluation.metrics.bootstrap import Estimate

TARGETS_OF_PART = {"all": "targets", "repeat": "repeat", "discovery": "discovery", "reachable": "reachable"}

EstimateByPart = dict[str, Estimate]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def ndcg_at(k: int, hits_CK: NDArray[np.bool_], targets_C: Ints) -> Floats:
    """NDCG of the first `k` candidates [C]; NaN for a case without targets."""
    discount_K = 1 / np.log2(np.arange(2, k + 2))
    width = min(k, hits_CK.shape[1])
    gain_C = hits_CK[:, :width] @ discount_K[:width]
    best_C = np.concatenate([[np.nan], np.cumsum(discount_K)])[np.minimum(np.asarray(targets_C, dtype=np.int64), k)]
    return gain_C / best_C


METRICS = {"recall": recall_from_hits, "ndcg": ndcg_at}
RECALL_METRICS = ("recall_at_50", "recall_at_200", "ndcg_at_10")  # in the report, of tracks
COLLECTION_METRICS = ("recall_at_10", "recall_at_50", "ndcg_at_10")


def measure_by_case(items_CK: Ints, cases: RecallCases, names: Sequence[str]) -> dict[str, dict[str, Floats]]:
    """Values by case, `{metric: {part: [C]}}`; NaN for a case without targets of the part.

    Args:
        items_CK: One list per case, padded with 0.
        cases: Cases with targets.
        names: Metrics, `recall_at_K` or `ndcg_at_K`.

    Raises:
        ValueError: The numbers of lists and cases differ.
    """
    if len(items_CK) != len(cases):
        raise ValueError(f"{len(items_CK)} lists for {len(cases)} cases; pass one list per case, which may be empty")
    values: dict[str, dict[str, Floats]] = {name: {} for name in names}
    for part, kind in TARGETS_OF_PART.items():
        hits_CK, targets_C = cases.items[kind].contains(items_CK), cases.items[kind].count_C
        for name in names:
            metric, _, k = name.partition("_at_")
            values[name][part] = METRICS[metric](int(k), hits_CK, targets_C)
    return values


def mean_over_users(values_C: Floats, user_C: NDArray[np.generic]) -> Estimate:
    """Mean over users of their means, bootstrapped over users.

    With fewer than MIN_USERS users, bootstrapped over cases: the variation between samples of their own
    sessions.
    """
    users, user = np.unique(user_C, return_inverse=True)
    if len(users) >= MIN_USERS:
        return bootstrap.mean(mean_per_user(values_C, user))
    count_U = np.bincount(user, weights=~np.isnan(values_C), minlength=len(users))
    return bootstrap.mean(values_C, 1 / np.maximum(count_U, 1)[user])


def estimates(values: Mapping[str, Mapping[str, Floats]], cases: RecallCases) -> dict[str, EstimateByPart]:
    """Means over users of the values of `measure_by_case`."""
    return {
        name: {part: mean_over_users(values_C, cases.user_C) for part, values_C in parts.items()}
        for name, parts in values.items()
    }


def measure(items_CK: Ints, cases: RecallCases, names: Sequence[str]) -> dict[str, EstimateByPart]:
    """Means over users, `{metric: {part: estimate}}`; arguments as for `measure_by_case`."""
    return estimates(measure_by_case(items_CK, cases, names), cases)


def coverage(items_CK: Ints, catalog_V: NDArray[np.bool_]) -> float:
    """Fraction of the catalog that is in at least one of the lists."""
    shown = np.zeros(max(len(catalog_V), int(items_CK.max(initial=0)) + 1), dtype=bool)
    shown[items_CK.ravel()] = True
    size = int(catalog_V.sum())
    return float((shown[: len(catalog_V)] & catalog_V).sum() / size) if size else 0.0


def new_item_masks(data: TrainingData) -> dict[str, NDArray[np.bool_]]:
    """Tracks without plays in the train part, bool [V]: all `new_tracks`, and those `by_new_artists`, which have none either."""
    artist_V = data.vocabulary.artist_of_track_V
    played = data.plays.track_P[data.plays.part_P == PARTS.index("train")]
    is_new_V = np.ones(len(data.vocabulary), dtype=bool)
    is_new_V[:FIRST_CODE] = is_new_V[played] = False
    is_played_A = np.zeros(data.vocabulary.artist_count, dtype=bool)
    is_played_A[artist_V[played]] = True
    return {"new_tracks": is_new_V, "by_new_artists": is_new_V & (artist_V >= FIRST_CODE) & ~is_played_A[artist_V]}


def exposure(items: Ints, masks: Mapping[str, NDArray[np.bool_]]) -> dict[str, float]:
    """Fraction of all items except padding (0) that are in each mask; 0 without items."""
    shown = items[items > 0]
    return {name: float(is_in_V[shown].sum() / max(len(shown), 1)) for name, is_in_V in masks.items()}
