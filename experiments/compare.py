"""Comparison of arms: sample ratio, metrics per arm, and paired differences from a baseline arm.

Metrics are ratios of sums, bootstrapped over users. Legend: R bootstrap samples, U units (users or groups of users).

The test for a sample-ratio mismatch checks whether the arms have the planned shares of users. After a mismatch the
assignment was not random, and differences between the arms are not valid. It is Pearson's chi-square test with the
strict significance level that is usual for this check, because it is repeated often (Fabijan et al., 2019, "Diagnosing
Sample Ratio Mismatch in Online Controlled Experiments", KDD).

Confidence intervals that stay valid when an experiment is looked at every day.

A fixed-sample 95 % interval covers the true difference in 95 % of experiments that are looked at once. Stopping as soon as it
excludes zero finds a difference in far more than 5 % of experiments without one. A sequential interval covers the true
difference at all looks together with 95 %. This one inverts the mixture sequential probability ratio test (Johari, Pekelis,
Walsh, 2015, "Always Valid Inference", arXiv 1512.04922) with a normal mixture, on the bootstrap variance of the difference;
it is asymptotic, so it needs some hundred users.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chisquare

from experiments.arm_exposures import ExperimentPlan, load_arm_exposures
from releases.traffic_split import PRODUCTION
from training.data.recall_cases import MIN_USERS
from training.evaluation.metrics import bootstrap
from training.evaluation.metrics.bootstrap import Estimate, Floats

SIGNIFICANCE_LEVEL = 0.001  # of the test for a sample-ratio mismatch
MIN_EXPECTED_USERS = 5  # of an arm, for the test
ERROR_RATE = 0.05


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
        return np.divide(numerator_R, denominator_R, out=np.full(len(denominator_R), np.nan), where=denominator_R > 0)

    return bootstrap.statistic(ratio_of_samples, len(numerator_U))


def measure_arm(counts_U: Mapping[str, NDArray[np.float64]]) -> dict[str, Estimate]:
    """All METRICS of one arm. A metric with a denominator of fewer than MIN_USERS units has no interval.

    Args:
        counts_U: Count per unit, by name.
    """
    estimates = {}
    for name, metric in METRICS.items():
        denominator_U = counts_U[metric.denominator]
        estimate = ratio(counts_U[metric.numerator], denominator_U, metric.scale)
        if np.count_nonzero(denominator_U) < MIN_USERS:
            # A bootstrap over few users varies too little, over one not at all, so that noise would look significant.
            estimate = replace(estimate, draws_R=np.full_like(estimate.draws_R, np.nan))
        estimates[name] = estimate
    return estimates


def compare(marts: Path, newest: datetime, plan: ExperimentPlan) -> dict[str, Any] | None:
    """Content of `reports/experiment.json`: every metric is [value, low, high], null where it is undefined; None if there are
    no exposures in the period.

    The period is that with constant shares of the plan. Arms are compared with production, or without it with the arm with the
    most users. Intervals of differences are sequential, because the pipeline compares the arms every day.

    Raises:
        MissingInput: The mart `exposures` does not exist.
    """
    until = plan.until or newest + timedelta(microseconds=1)
    arms, shared_users = load_arm_exposures(marts, plan.since, until, plan.experiment)
    if not arms:
        return None
    production = [name for name in arms if name.endswith(f"/{PRODUCTION}")]
    reference = next(iter(production), max(arms, key=lambda name: arms[name].users))
    estimates = {name: measure_arm(arm.counts_U) for name, arm in arms.items()}
    return {
        "experiment": plan.experiment,
        "since": plan.since.isoformat(),
        "until": until.isoformat(),
        "shared_users": shared_users,
        "sample_ratio": check_sample_ratio({name: arm.users for name, arm in arms.items()}, plan.shares),
        "baseline": reference,
        "arms": {
            name: {
                "users": arm.users,
                "requests": arm.requests,
                "exposures": int(arm.counts_U["exposures"].sum()),
                "unsettled": arm.unsettled,
                "releases": arm.releases,
                "metrics": {metric: _finite(one.interval()) for metric, one in estimates[name].items()},
            }
            for name, arm in arms.items()
        },
        "differences": {
            f"{name} - {reference}": {
                metric: _finite(
                    sequential_interval(estimate - estimates[reference][metric], METRICS[metric].expected_difference)
                )
                for metric, estimate in of_arm.items()
            }
            for name, of_arm in estimates.items()
            if name != reference
        },
    }


def check_sample_ratio(users: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, Any]:
    """Test the numbers of users per arm against the planned shares, which are above 0 and sum to 1.

    Returns:
        The section of `experiment.json`: `users` and `expected` users by arm, `p`, `holds` (None: too few users for a test), and
        one sentence, `says`.
    """
    counted = {arm: users.get(arm, 0) for arm in shares} | dict(users)
    total = sum(counted.values())
    expected = {arm: shares.get(arm, 0.0) * total for arm in counted}
    p: float | None = None
    holds: bool | None = None
    if unplanned := [arm for arm in counted if arm not in shares]:
        listed = ", ".join(f"{counted[arm]:,} users in {arm}" for arm in unplanned)
        holds, says = False, f"FAILED: {listed}, which has no planned share"
    elif len(shares) < 2:
        says = "only one arm: there is no ratio to check"
    elif min(expected.values()) < MIN_EXPECTED_USERS:
        says = f"too few users to check the sample ratio: {min(expected.values()):.1f} are expected in the smallest arm"
    else:
        p = float(chisquare(list(counted.values()), list(expected.values())).pvalue)
        holds = p >= SIGNIFICANCE_LEVEL
        listed = ", ".join(f"{arm} {counted[arm]:,} (expected {expected[arm]:,.0f})" for arm in shares)
        outcome = "sample ratio as planned" if holds else "FAILED: sample-ratio mismatch"
        says = f"{outcome}: {listed}; p = {p:.2g}" + ("" if holds else ". The differences below are not valid")
    return {"users": counted, "expected": expected, "p": p, "holds": holds, "says": says}


def _finite(interval: Sequence[float]) -> list[float | None]:
    """The interval with None for values that are not finite, e.g. if a bootstrap sample has no exposure."""
    return [value if math.isfinite(value) else None for value in interval]


def sequential_interval(difference: Estimate, expected_size: float) -> list[float]:
    """[value, low, high] of a difference, valid at every look; NaN without an estimate.

    Args:
        difference: Difference of two arms with its bootstrap samples.
        expected_size: Standard deviation of the normal mixture: about the size of the differences to be found. It must not
            depend on the data. The interval is valid for any size above 0, and narrowest for differences of about this size.
    """
    value = float(difference.value)
    if len(difference.draws_R) == 0 or not np.isfinite(difference.draws_R).all():
        return [value, math.nan, math.nan]
    variance, mixture = float(np.var(difference.draws_R)), expected_size**2
    if variance == 0:
        return [value, value, value]
    width = math.sqrt(
        variance
        * (variance + mixture)
        / mixture
        * (math.log((variance + mixture) / variance) - 2 * math.log(ERROR_RATE))
    )
    return [value, value - width, value + width]
