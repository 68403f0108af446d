"""Online metrics of one arm, with how sure they are: ratios of sums over users, who are what is drawn.

Legend: R draws, U units. Knows nothing about arms or files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics import bootstrap
from training.evaluation.metrics.bootstrap import Estimate, Floats


@dataclass(frozen=True)
class Metric:
    """`scale` × the sum of one count by the sum of another, and what that is for a reader."""

    numerator: str
    denominator: str
    scale: float
    description: str


METRICS = {
    "play_rate": Metric("plays", "exposures", 1, "exposures that were played, of all"),
    "finish_rate": Metric("full_plays", "plays", 1, "played to nearly the end, of those that were played"),
    "skip_rate": Metric("skips", "plays", 1, "never listened to, of those that were played"),
    "likes_per_1000": Metric("likes", "exposures", 1000, "likes per 1,000 exposures"),
}


def ratio(of_U: NDArray[np.float64], by_U: NDArray[np.float64], scale: float = 1) -> Estimate:
    """`scale` · Σ of / Σ by. Its draws are those of every other ratio over as many units: differences are paired over
    units that count in both, and units that count in one only are as good as drawn apart.

    NaN where nothing is divided by.
    """

    def of_counts(counts_RU: Floats) -> Floats:
        below_R = counts_RU @ by_U
        above_R = scale * (counts_RU @ of_U)
        ratio_R: Floats = np.divide(above_R, below_R, out=np.full(len(below_R), np.nan), where=below_R > 0)
        return ratio_R

    return bootstrap.statistic(of_counts, len(of_U))


def measure_arm(counts_U: Mapping[str, NDArray[np.float64]]) -> dict[str, Estimate]:
    """Every metric of one arm."""
    return {name: ratio(counts_U[one.numerator], counts_U[one.denominator], one.scale) for name, one in METRICS.items()}
