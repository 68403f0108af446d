"""How much of what was listened to a list of candidates found, for each user and kind of target.

Kinds: `all` targets of a session, `repeat` (heard before), `discovery` (not heard before), `reachable` (discovery and
in the catalogue). Full-catalogue lists, no sampled metrics. A case counts for a kind if it has such a target; figures
are averaged over a user's cases, then over users; intervals draw users, of few users their cases. Legend: C cases,
K candidates, U users, V vocabulary. Knows nothing about who made the lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from training.data.recall_at_k import recall_from_hits
from training.data.recall_cases import RecallCases
from training.evaluation.metrics import bootstrap
from training.evaluation.metrics.bootstrap import MIN_BOOTSTRAP_USERS, Estimate

TARGETS_OF_PART = {"all": "targets", "repeat": "repeat", "discovery": "discovery", "reachable": "reachable"}
PARTS = tuple(TARGETS_OF_PART)

EstimateByPart = dict[str, Estimate]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def ndcg_at(k: int, hits_CK: NDArray[np.bool_], targets_C: Ints) -> Floats:
    """Discounted gain of the first `k` candidates over the best possible one [C]; NaN where a case has no target."""
    discount_K = 1 / np.log2(np.arange(2, k + 2))
    width = min(k, hits_CK.shape[1])
    gain_C = hits_CK[:, :width] @ discount_K[:width]
    best_C = np.concatenate([[np.nan], np.cumsum(discount_K)])[np.minimum(np.asarray(targets_C, dtype=np.int64), k)]
    ratio_C: Floats = gain_C / best_C
    return ratio_C


METRICS = {"recall": recall_from_hits, "ndcg": ndcg_at}


def measure_by_case(items_CK: Ints, cases: RecallCases, names: Sequence[str]) -> dict[str, dict[str, Floats]]:
    """`{metric: {part: [C]}}` for names such as `recall_at_50`; NaN where a case has no target of that part.

    Raises:
        ValueError: a name is not `recall_at_K` or `ndcg_at_K`, or there is not one list a case.
    """
    if len(items_CK) != len(cases):
        raise ValueError(
            f"{len(items_CK)} lists for {len(cases)} cases; give every case one list, an empty one if need be"
        )
    found: dict[str, dict[str, Floats]] = {name: {} for name in names}
    for part, kind in TARGETS_OF_PART.items():
        hits_CK, targets_C = cases.items[kind].contains(items_CK), cases.items[kind].count_C
        for name in names:
            metric, _, k = name.partition("_at_")
            if metric not in METRICS or not k.isdigit():
                raise ValueError(f"metric {name!r} is unknown; write recall_at_K or ndcg_at_K")
            found[name][part] = METRICS[metric](int(k), hits_CK, targets_C)
    return found


def mean_by_user(values_C: Floats, user_C: NDArray[np.generic], users: int) -> Floats:
    """Mean over each user's cases that have a value [U]; NaN for a user without one."""
    kept = ~np.isnan(values_C)
    total_U = np.bincount(user_C[kept], weights=values_C[kept], minlength=users)
    count_U = np.bincount(user_C[kept], minlength=users)
    with np.errstate(invalid="ignore"):
        mean_U: Floats = total_U / count_U
    return mean_U


def mean_over_users(values_C: Floats, user_C: NDArray[np.generic]) -> Estimate:
    """The mean over users of their means, for draws of users. Of fewer than FEW_USERS for draws of their cases: what another
    sample of their own sessions would have given.
    """
    users, user = np.unique(user_C, return_inverse=True)
    if len(users) >= MIN_BOOTSTRAP_USERS:
        return bootstrap.mean(mean_by_user(values_C, user, len(users)))
    kept_U = np.bincount(user, weights=~np.isnan(values_C), minlength=len(users))
    return bootstrap.mean(values_C, 1 / np.maximum(kept_U, 1)[user])


def estimates(values: Mapping[str, Mapping[str, Floats]], cases: RecallCases) -> dict[str, EstimateByPart]:
    """`by_case` figures as means over users with their bootstraps."""
    return {
        name: {part: mean_over_users(values_C, cases.user_C) for part, values_C in parts.items()}
        for name, parts in values.items()
    }


def measure(items_CK: Ints, cases: RecallCases, names: Sequence[str]) -> dict[str, EstimateByPart]:
    """`{metric: {part: estimate}}` of the lists on the cases."""
    return estimates(measure_by_case(items_CK, cases, names), cases)


def coverage(items_CK: Ints, catalogue_V: NDArray[np.bool_]) -> float:
    """Share of the catalogue that is in at least one of the lists, at the length the lists have."""
    shown = np.zeros(max(len(catalogue_V), int(items_CK.max(initial=0)) + 1), dtype=bool)
    shown[items_CK.ravel()] = True
    size = int(catalogue_V.sum())
    return float((shown[: len(catalogue_V)] & catalogue_V).sum() / size) if size else 0.0
