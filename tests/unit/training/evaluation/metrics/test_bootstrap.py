"""Intervals are the anchor's, number by number, and differences are paired."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.training import reference_metrics
from training.evaluation.metrics import bootstrap

RANDOM = np.random.default_rng(7)


@pytest.mark.parametrize("users", [1, 2, 37, 500])
def test_mean_is_the_restated_anchor(users: int) -> None:
    values, weights = RANDOM.random(users), RANDOM.integers(1, 900, users).astype(float)
    assert bootstrap.mean(values, weights).interval() == pytest.approx(
        reference_metrics.interval(values, weights), abs=1e-12
    )


def test_mean_is_the_anchor_script() -> None:
    script = reference_metrics.script()
    if script is None:
        pytest.skip("the anchor's score.py is not beside the repository")
    values, weights = RANDOM.random(138), RANDOM.random(138)
    assert bootstrap.mean(values, weights).interval() == pytest.approx(script.interval(values, weights), abs=1e-12)


def test_users_without_a_value_are_in_no_draw() -> None:
    values = np.array([0.1, np.nan, 0.7, 0.4, np.nan])
    weights = np.array([1.0, 50.0, 2.0, 3.0, 50.0])
    kept = ~np.isnan(values)
    assert bootstrap.mean(values, weights).interval() == pytest.approx(
        reference_metrics.interval(values[kept], weights[kept])
    )


def test_difference_is_the_interval_of_the_users_differences() -> None:
    mine, other, weights = RANDOM.random(60), RANDOM.random(60), RANDOM.integers(1, 50, 60).astype(float)
    paired = (bootstrap.mean(mine, weights) - bootstrap.mean(other, weights)).interval()
    assert paired == pytest.approx(reference_metrics.interval(mine - other, weights))


def test_a_constant_lead_is_certain_when_paired() -> None:
    mine = RANDOM.random(40)
    paired = (bootstrap.mean(mine + 0.01) - bootstrap.mean(mine)).interval()
    assert paired == pytest.approx([0.01, 0.01, 0.01])


def test_statistic_counts_users_as_often_as_they_are_drawn() -> None:
    values = RANDOM.random(25)
    by_statistic = bootstrap.statistic(lambda counts: counts @ values / counts.sum(1), 25)
    assert by_statistic.interval() == pytest.approx(bootstrap.mean(values).interval())


def test_nobody_measured_is_not_a_number() -> None:
    assert np.isnan(bootstrap.mean(np.array([np.nan])).interval()).all()
