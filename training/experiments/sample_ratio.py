"""Sample-ratio mismatch test: whether the arms have the planned shares of users.

After a mismatch the assignment was not random, and differences between the arms are not valid. Pearson's chi-square
test with the strict significance level that is usual for this check, because it is repeated often (Fabijan et al.,
2019, "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments", KDD).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scipy.stats import chi2

SIGNIFICANCE_LEVEL = 0.001
MIN_EXPECTED_USERS = 5


@dataclass(frozen=True)
class SampleRatio:
    """Outcome of the test, as in `experiment.json`."""

    users: dict[str, int]  # by arm
    expected: dict[str, float]  # expected users by arm
    chi_square: float | None
    p: float | None
    holds: bool | None  # None: too few users for a test
    says: str  # one sentence


def check_sample_ratio(users: Mapping[str, int], shares: Mapping[str, float]) -> SampleRatio:
    """Test the numbers of users per arm against the planned shares.

    Raises:
        ValueError: A share is not above 0, or they do not sum to 1.
    """
    if any(share <= 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        listed = ", ".join(f"{arm}={share:g}" for arm, share in shares.items())
        raise ValueError(f"shares {listed} must be above 0 and sum to 1")
    counted = {arm: users.get(arm, 0) for arm in shares} | dict(users)
    total = sum(counted.values())
    expected = {arm: shares.get(arm, 0.0) * total for arm in counted}
    unplanned = [arm for arm in counted if arm not in shares]
    if unplanned:
        listed = ", ".join(f"{counted[arm]:,} users in {arm}" for arm in unplanned)
        return SampleRatio(counted, expected, None, None, False, f"FAILED: {listed}, which has no planned share")
    if len(shares) < 2:
        return SampleRatio(counted, expected, None, None, None, "only one arm: there is no ratio to check")
    if min(expected.values()) < MIN_EXPECTED_USERS:
        says = f"too few users to check the sample ratio: {min(expected.values()):.1f} are expected in the smallest arm"
        return SampleRatio(counted, expected, None, None, None, says)
    statistic = sum((counted[arm] - expected[arm]) ** 2 / expected[arm] for arm in shares)
    p = float(chi2.sf(statistic, len(shares) - 1))
    listed = ", ".join(f"{arm} {counted[arm]:,} (expected {expected[arm]:,.0f})" for arm in shares)
    if p < SIGNIFICANCE_LEVEL:
        says = f"FAILED: sample-ratio mismatch: {listed}; p = {p:.2g}. The differences below are not valid"
    else:
        says = f"sample ratio as planned: {listed}; p = {p:.2g}"
    return SampleRatio(counted, expected, statistic, p, p >= SIGNIFICANCE_LEVEL, says)
