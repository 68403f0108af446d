"""Sample-ratio test: against scipy, detects missing users, no false alarms."""

import pytest
from scipy.stats import chisquare

from experiments.compare import check_sample_ratio

HALVES = {"x/r1": 0.5, "x/production": 0.5}


def test_p_is_of_pearsons_chi_square():
    users, shares = {"a": 480, "b": 250, "c": 270}, {"a": 0.5, "b": 0.25, "c": 0.25}
    found, expected = check_sample_ratio(users, shares), chisquare([480, 250, 270], [500, 250, 250])
    assert found["p"] == pytest.approx(expected.pvalue)
    assert found["expected"] == {"a": 500, "b": 250, "c": 250} and found["holds"]


def test_missing_users_are_detected():
    found = check_sample_ratio({"x/r1": 4_700, "x/production": 5_300}, HALVES)
    assert found["holds"] is False
    assert found["says"].startswith("FAILED: sample-ratio mismatch: x/r1 4,700 (expected 5,000)")


def test_arm_without_users_counts_and_arm_without_share_fails():
    assert check_sample_ratio({"x/r1": 100}, HALVES)["holds"] is False
    found = check_sample_ratio({"x/r1": 50, "x/production": 50, "x/r2": 1}, HALVES)
    assert found["holds"] is False and "1 users in x/r2, which has no planned share" in found["says"]


def test_too_few_users_give_no_verdict():
    found = check_sample_ratio({"x/r1": 9}, HALVES)
    assert found["holds"] is None and found["says"].startswith(
        "too few users to check the sample ratio: 4.5 are expected"
    )
    assert check_sample_ratio({"r": 9}, {"r": 1.0})["holds"] is None
