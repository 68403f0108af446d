"""How sure a figure is: means over users, their 95 % intervals from 1,000 bootstraps, and paired differences.

Users are drawn, not cases: the cases of one user resemble each other. Only of fewer than FEW_USERS, one person with an
export of their own among them, cases are drawn (`recall_metrics.over_users`). Everything that is measured on the same users
uses the same draws (seed 0), so the difference of two estimates is paired by construction. Legend: R draws, U users.
Knows nothing about what is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

DRAWS, SEED = 1000, 0
INTERVAL_PERCENTILES = (2.5, 97.5)
MIN_BOOTSTRAP_USERS = 10
"""Fewer say nothing of other users."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure and what it would have been for each of R other draws of users; `draws_R` of two estimates are
    comparable one by one when both come from the same users.
    """

    value: float
    draws_R: Floats

    def __sub__(self, other: Estimate) -> Estimate:
        """The paired difference."""
        return Estimate(self.value - other.value, self.draws_R - other.draws_R)

    def interval(self) -> list[float]:
        """[value, low, high]: the 95 % percentile interval. All three are NaN where nobody could be measured, the last two where
        there was nothing to draw from.
        """
        if len(self.draws_R) == 0:
            return [float("nan")] * 3
        low, high = np.percentile(self.draws_R, INTERVAL_PERCENTILES)
        return [float(self.value), float(low), float(high)]


NO_ESTIMATE = Estimate(float("nan"), np.zeros(0))


@lru_cache(maxsize=4)
def draw_counts(users: int, draws: int = DRAWS) -> Floats:
    """How often each of `users` is in each draw [R, U]; rows sum to `users`. Takes 8 kB a user while it is cached."""
    drawn_RU = np.random.default_rng(SEED).integers(users, size=(draws, users))
    row_of_draw = np.arange(draws)[:, None] * users
    return (
        np.bincount((drawn_RU + row_of_draw).ravel(), minlength=draws * users).reshape(draws, users).astype(np.float64)
    )


def mean(values_U: NDArray[np.generic], weights_U: NDArray[np.generic] | None = None) -> Estimate:
    """Weighted mean over users. A user whose value is NaN has no such case and is left out, in every draw."""
    weights = np.ones(len(values_U)) if weights_U is None else np.asarray(weights_U, dtype=np.float64)
    values = np.asarray(values_U, dtype=np.float64)
    kept = ~np.isnan(values)
    values, weights = values[kept], weights[kept]
    if len(values) == 0:
        return NO_ESTIMATE
    counts_RU = draw_counts(len(values))
    return Estimate(
        float(np.average(values, weights=weights)), (counts_RU @ (values * weights)) / (counts_RU @ weights)
    )


def statistic(of_counts: Callable[[Floats], Floats], users: int) -> Estimate:
    """Anything that is computed from how often each user counts: `of_counts` maps [R, U] to R figures."""
    if users == 0:
        return NO_ESTIMATE
    return Estimate(float(of_counts(np.ones((1, users)))[0]), of_counts(draw_counts(users)))
