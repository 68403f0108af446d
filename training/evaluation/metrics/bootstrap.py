"""Bootstrap confidence intervals of per-user means: 95 % percentile intervals of 1,000 samples, and paired differences.

Users are resampled, not cases, because the cases of a user are correlated. With fewer than MIN_USERS users
(e.g. a single personal export), cases are resampled instead (`recall_metrics.mean_over_users`). All estimates over the
same users use the same samples (seed 0), so the difference of two estimates is paired by construction. Legend: R
samples, U users.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

DRAWS, SEED = 1000, 0
INTERVAL_PERCENTILES = (2.5, 97.5)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value and its values in R bootstrap samples, which are paired between estimates over the same users."""

    value: float
    draws_R: Floats

    def __sub__(self, other: Estimate) -> Estimate:
        """Paired difference."""
        return Estimate(self.value - other.value, self.draws_R - other.draws_R)

    def interval(self) -> list[float]:
        """[value, low, high] of the 95 % percentile interval; all NaN without a case, low and high NaN without an
        interval.
        """
        if len(self.draws_R) == 0:
            return [float("nan")] * 3
        low, high = np.percentile(self.draws_R, INTERVAL_PERCENTILES)
        return [float(self.value), float(low), float(high)]


NO_ESTIMATE = Estimate(float("nan"), np.zeros(0))


@lru_cache(maxsize=4)
def draw_counts(users: int, draws: int = DRAWS) -> Floats:
    """Number of times that each user is in each sample [R, U]; rows sum to `users`. The cache takes 8 kB per user."""
    sample_RU = np.random.default_rng(SEED).integers(users, size=(draws, users))
    row_offset = np.arange(draws)[:, None] * users
    return (
        np.bincount((sample_RU + row_offset).ravel(), minlength=draws * users).reshape(draws, users).astype(np.float64)
    )


def mean(values_U: NDArray[np.generic], weights_U: NDArray[np.generic] | None = None) -> Estimate:
    """Weighted mean over users. Users whose value is NaN have no case: they are excluded from all samples."""
    weights = np.ones(len(values_U)) if weights_U is None else np.asarray(weights_U, dtype=np.float64)
    values = np.asarray(values_U, dtype=np.float64)
    kept = ~np.isnan(values)
    if not kept.any():
        return NO_ESTIMATE
    values, weights = values[kept], weights[kept]
    counts_RU = draw_counts(len(values))
    return Estimate(
        float(np.average(values, weights=weights)), (counts_RU @ (values * weights)) / (counts_RU @ weights)
    )


def statistic(of_counts: Callable[[Floats], Floats], users: int) -> Estimate:
    """Any statistic of weighted users.

    Args:
        of_counts: Function from the weights of users in each sample [R, U] to the statistic [R].
        users: Number of users.
    """
    if users == 0:
        return NO_ESTIMATE
    return Estimate(float(of_counts(np.ones((1, users)))[0]), of_counts(draw_counts(users)))
