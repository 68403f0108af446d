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


@pytest.mark.parametrize(
    ("users", "shares", "holds", "says"),
    [
        ({"x/r1": 4_700, "x/production": 5_300}, HALVES, False, "mismatch: x/r1 4,700 (expected 5,000)"),
        ({"x/r1": 100}, HALVES, False, "x/production 0"),
        ({"x/r1": 50, "x/production": 50, "x/r2": 1}, HALVES, False, "1 users in x/r2, which has no planned share"),
        ({"x/r1": 9}, HALVES, None, "too few users to check the sample ratio: 4.5 are expected"),
        ({"r": 9}, {"r": 1.0}, None, ""),
    ],
    ids=["missing users", "an arm without users", "an arm without a share", "too few users", "one arm"],
)
def test_verdicts(users, shares, holds, says):
    found = check_sample_ratio(users, shares)
    assert found["holds"] is holds and says in found["says"]
