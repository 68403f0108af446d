"""Online metrics of one arm with confidence intervals: ratios of sums, bootstrapped over users.

Legend: R bootstrap samples, U units (users or groups of users).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.data.recall_cases import MIN_USERS
from training.evaluation.metrics import bootstrap
from training.evaluation.metrics.bootstrap import Estimate, Floats


@dataclass(frozen=True)
class Metric:
    """`scale` × sum of the numerator count / sum of the denominator count.

    `expected_difference` is about the size of the differences between releases; sequential intervals are narrowest for it.
    """

    numerator: str
    denominator: str
    scale: float
    description: str
    expected_difference: float


METRICS = {
    "play_rate": Metric("plays", "exposures", 1, "fraction of exposures that were played", 0.02),
    "finish_rate": Metric("full_plays", "plays", 1, "fraction of played exposures played nearly to the end", 0.02),
    "skip_rate": Metric("skips", "plays", 1, "fraction of played exposures that were skipped", 0.02),
    "likes_per_1000": Metric("likes", "exposures", 1000, "likes per 1,000 exposures", 5),
}


def ratio(numerator_U: NDArray[np.float64], denominator_U: NDArray[np.float64], scale: float = 1) -> Estimate:
    """`scale` * sum of the numerator / sum of the denominator; NaN if the denominator is zero.

    All ratios over the same number of units use the same bootstrap samples, so differences of two ratios are paired
    over units that count in both; units that count in only one are as good as resampled independently.
    """

    def ratio_of_samples(counts_RU: Floats) -> Floats:
        denominator_R = counts_RU @ denominator_U
        numerator_R = scale * (counts_RU @ numerator_U)
        ratio_R: Floats = np.divide(
            numerator_R, denominator_R, out=np.full(len(denominator_R), np.nan), where=denominator_R > 0
        )
        return ratio_R

    return bootstrap.statistic(ratio_of_samples, len(numerator_U))


def measure_arm(counts_U: Mapping[str, NDArray[np.float64]]) -> dict[str, Estimate]:
    """All METRICS of one arm. A metric with a denominator of fewer than MIN_USERS units has no interval.

    Args:
        counts_U: Count per unit, by name.
    """
    return {
        name: _measure(counts_U[metric.numerator], counts_U[metric.denominator], metric.scale)
        for name, metric in METRICS.items()
    }


def _measure(numerator_U: NDArray[np.float64], denominator_U: NDArray[np.float64], scale: float) -> Estimate:
    estimate = ratio(numerator_U, denominator_U, scale)
    if np.count_nonzero(denominator_U) >= MIN_USERS:
        return estimate
    # A bootstrap over few users varies too little, over one not at all, so that noise would look significant.
    return replace(estimate, draws_R=np.full_like(estimate.draws_R, np.nan))
