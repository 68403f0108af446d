"""Whether the arms have the shares of users that were asked for. Where they have not, something else than chance
decided who was counted, and no difference between the arms means anything.

Pearson's chi-square; the level is as strict as is usual for this check (Fabijan et al., 2019, "Diagnosing Sample Ratio
Mismatch in Online Controlled Experiments", KDD), because it is looked at again and again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scipy.stats import chi2

SIGNIFICANCE_LEVEL = 0.001
MIN_EXPECTED_USERS = 5


@dataclass(frozen=True)
class SampleRatio:
    """`holds` is None where there are too few users to tell; `says` is for a person."""

    users: dict[str, int]
    expected: dict[str, float]
    chi_square: float | None
    p: float | None
    holds: bool | None
    says: str


def check_sample_ratio(users: Mapping[str, int], shares: Mapping[str, float]) -> SampleRatio:
    """Users an arm against the asked shares.

    Raises:
        ValueError: the shares are not above 0 or do not sum to 1.
    """
    if any(share <= 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        told = ", ".join(f"{arm}={share:g}" for arm, share in shares.items())
        raise ValueError(f"shares {told} must be above 0 and sum to 1; give every arm its own")
    counted = {arm: users.get(arm, 0) for arm in shares} | dict(users)
    total = sum(counted.values())
    expected = {arm: shares.get(arm, 0.0) * total for arm in counted}
    unasked = [arm for arm in counted if arm not in shares]
    if unasked:
        told = ", ".join(f"{counted[arm]:,} in {arm}" for arm in unasked)
        return SampleRatio(counted, expected, None, None, False, f"FAILED: {told}, an arm that has no share")
    if len(shares) < 2:
        return SampleRatio(counted, expected, None, None, None, "one arm only: there is no ratio to check")
    if min(expected.values()) < MIN_EXPECTED_USERS:
        says = f"too few users to check the shares: {min(expected.values()):.1f} are expected in the smallest arm"
        return SampleRatio(counted, expected, None, None, None, says)
    statistic = sum((counted[arm] - expected[arm]) ** 2 / expected[arm] for arm in shares)
    p = float(chi2.sf(statistic, len(shares) - 1))
    told = ", ".join(f"{arm} {counted[arm]:,} (expected {expected[arm]:,.0f})" for arm in shares)
    if p < SIGNIFICANCE_LEVEL:
        says = f"FAILED: users are not divided as asked: {told}; p = {p:.2g}. Do not trust any difference below"
    else:
        says = f"users are divided as asked: {told}; p = {p:.2g}"
    return SampleRatio(counted, expected, statistic, p, p >= SIGNIFICANCE_LEVEL, says)
