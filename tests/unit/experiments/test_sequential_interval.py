"""Sequential intervals: valid at all looks together, and about as narrow as needed."""

import math

import numpy as np
import pytest

from experiments.compare import sequential_interval
from training.evaluation.metrics.bootstrap import NO_ESTIMATE, Estimate

EXPERIMENTS, LOOKS, USERS_PER_LOOK = 200, 60, 50


def estimate(mean, standard_error):
    """An estimate whose samples have exactly this standard error."""
    return Estimate(mean, np.array([mean - standard_error, mean + standard_error]))


def first_finding(true_difference):
    """Fraction of experiments in which the interval excludes zero at any of the looks, and the mean look of those."""
    found = []
    for seed in range(EXPERIMENTS):
        users = np.random.default_rng(seed).normal(true_difference, 1, LOOKS * USERS_PER_LOOK)
        means = np.cumsum(users) / np.arange(1, len(users) + 1)
        for look in range(1, LOOKS + 1):
            count = look * USERS_PER_LOOK
            _, low, high = sequential_interval(estimate(means[count - 1], 1 / math.sqrt(count)), 0.1)
            if low > 0 or high < 0:
                found.append(look)
                break
    return len(found) / EXPERIMENTS, float(np.mean(found)) if found else math.nan


def test_daily_looks_find_a_difference_that_does_not_exist_in_at_most_five_percent():
    found, _ = first_finding(0.0)
    assert found <= 0.05


def test_a_difference_of_the_expected_size_is_found():
    found, look = first_finding(0.1)
    assert found > 0.95
    assert look < LOOKS / 2


@pytest.mark.parametrize(
    ("draws", "expected"),
    [([0.4, math.nan], [0.5, math.nan, math.nan]), ([0.5] * 5, [0.5, 0.5, 0.5])],
    ids=["undefined", "certain"],
)
def test_undefined_and_certain_differences(draws, expected):
    assert sequential_interval(Estimate(0.5, np.array(draws)), 1) == pytest.approx(expected, nan_ok=True)
    assert np.isnan(sequential_interval(NO_ESTIMATE, 1)).all()
