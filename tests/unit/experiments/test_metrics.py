"""Ratios over users and their intervals, against an explicit bootstrap."""

import numpy as np
import pytest

from experiments.compare import measure_arm, ratio
from training.evaluation.metrics.bootstrap import DRAWS, INTERVAL_PERCENTILES, SEED


def explicit_bootstrap(of, by, scale=1.0):
    sample_RU = np.random.default_rng(SEED).integers(len(of), size=(DRAWS, len(of)))
    return np.array([scale * of[users].sum() / by[users].sum() for users in sample_RU])


@pytest.mark.parametrize("shared", [0, 10, 40])
def test_differences_are_paired_over_users_in_both_arms(shared):
    """Users 0-19 and `shared` users are in the first arm, the rest of 40 and the shared ones in the second."""
    liking = np.random.default_rng(6).random(40)  # level of each user, the same in both arms
    is_one, is_other = np.arange(40) < max(20, shared), (np.arange(40) >= 20) | (np.arange(40) < shared)
    one, other = (10 * liking * is_one, 10.0 * is_one), (10 * (liking + 0.1) * is_other, 10.0 * is_other)
    difference = ratio(*other) - ratio(*one)
    expected = explicit_bootstrap(*other) - explicit_bootstrap(*one)
    assert difference.interval()[1:] == pytest.approx(list(np.percentile(expected, INTERVAL_PERCENTILES)))
    if shared == 40:
        assert difference.interval() == pytest.approx([0.1, 0.1, 0.1])
    if shared == 0:  # as if the users of each arm were resampled independently
        own = liking[:20].std() ** 2 / 20 + liking[20:].std() ** 2 / 20
        assert difference.draws_R.std() == pytest.approx(own**0.5, rel=0.15)


def test_metrics_against_counts_by_hand():
    counts = {"exposures": [8, 12], "plays": [4, 1], "full_plays": [2, 1], "skips": [1, 0], "likes": [1, 0]}
    found = measure_arm({name: np.array(values, dtype=float) for name, values in counts.items()})
    assert {name: one.value for name, one in found.items()} == {
        "play_rate": 0.25, "finish_rate": 0.6, "skip_rate": 0.2, "likes_per_1000": 50,
    }  # fmt: skip
