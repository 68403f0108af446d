"""Sample-ratio test: against scipy, detects missing users, no false alarms."""

import pytest
from scipy.stats import chisquare

from training.data.user_sampling import hash_bucket
from training.experiments.compare import check_sample_ratio

HALVES = {"x/r1": 0.5, "x/production": 0.5}


def test_statistic_is_pearsons_chi_square():
    users, shares = {"a": 480, "b": 250, "c": 270}, {"a": 0.5, "b": 0.25, "c": 0.25}
    found, expected = check_sample_ratio(users, shares), chisquare([480, 250, 270], [500, 250, 250])
    assert (found.chi_square, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.expected == {"a": 500, "b": 250, "c": 250} and found.holds


def test_missing_users_are_detected():
    found = check_sample_ratio({"x/r1": 4_700, "x/production": 5_300}, HALVES)
    assert found.holds is False
    assert found.says.startswith("FAILED: sample-ratio mismatch: x/r1 4,700 (expected 5,000)")


def test_hash_assignment_passes_in_many_experiments():
    failed = 0
    for number in range(40):
        users = [hash_bucket(f"user-{n}", f"experiment {number}") < 0.1 for n in range(2_000)]
        found = check_sample_ratio({"r": sum(users), "production": 2_000 - sum(users)}, {"r": 0.1, "production": 0.9})
        failed += found.holds is False
    assert failed == 0


def test_arm_without_users_counts_and_arm_without_share_fails():
    assert check_sample_ratio({"x/r1": 100}, HALVES).holds is False
    found = check_sample_ratio({"x/r1": 50, "x/production": 50, "x/r2": 1}, HALVES)
    assert found.holds is False and "1 users in x/r2, which has no planned share" in found.says


def test_too_few_users_give_no_verdict():
    found = check_sample_ratio({"x/r1": 9}, HALVES)
    assert found.holds is None and found.says.startswith("too few users to check the sample ratio: 4.5 are expected")
    assert check_sample_ratio({"r": 9}, {"r": 1.0}).holds is None


@pytest.mark.parametrize("shares", [{"a": 0.5, "b": 0.4}, {"a": 1.0, "b": 0.0}])
def test_invalid_shares_are_refused(shares):
    with pytest.raises(ValueError, match="must be above 0 and sum to 1"):
        check_sample_ratio({"a": 10, "b": 10}, shares)
