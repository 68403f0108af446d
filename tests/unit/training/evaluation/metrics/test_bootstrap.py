"""Differences of bootstrap means are paired."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.training import reference_metrics
from training.evaluation.metrics import bootstrap

RANDOM = np.random.default_rng(7)


def test_interval_of_a_difference_is_that_of_the_differences_per_user() -> None:
    first, second, weights = RANDOM.random(60), RANDOM.random(60), RANDOM.integers(1, 50, 60).astype(float)
    assert (bootstrap.mean(first, weights) - bootstrap.mean(second, weights)).interval() == pytest.approx(
        reference_metrics.interval(first - second, weights)
    )
