"""Policies that were never served, on a made log whose truth is known: every user likes every item with a known chance."""

import numpy as np
import pytest

from training.experiments.off_policy import (
    MIN_EFFECTIVE_SAMPLE_SIZE,
    EffectiveSampleTooSmall,
    effective_sample_size,
    estimate_off_policy,
)

USERS, ITEMS = 50, 8
RANDOM = np.random.default_rng(11)
CHANCE_UI = RANDOM.uniform(0.3, 0.9, (USERS, ITEMS))
SHOWN_UI = RANDOM.dirichlet(np.full(ITEMS, 5.0), USERS)  # what was done
LEANING_UI = SHOWN_UI * np.exp(3 * CHANCE_UI)
POLICY_UI = LEANING_UI / LEANING_UI.sum(1, keepdims=True)  # what is asked about leans to what is liked
TRUTH = float((POLICY_UI * CHANCE_UI).sum(1).mean())


def logged(places_a_user, random):
    user = np.repeat(np.arange(USERS), places_a_user)
    item = (SHOWN_UI.cumsum(1)[user] < random.random((len(user), 1))).sum(1).clip(max=ITEMS - 1)
    reward = (random.random(len(user)) < CHANCE_UI[user, item]).astype(float)
    return [f"u{one}" for one in user], reward, SHOWN_UI[user, item], POLICY_UI[user, item]


def test_both_come_to_the_truth_and_what_was_shown_does_not():
    random = np.random.default_rng(1)
    log = logged(4_000, random)
    found = estimate_off_policy(*log)
    assert abs(TRUTH - log[1].mean()) > 0.02  # the policy is not what was shown
    assert found.ips.value == pytest.approx(TRUTH, abs=0.01)
    assert found.snips.value == pytest.approx(TRUTH, abs=0.01)
    assert (found.slots, found.users) == (4_000 * USERS, USERS)
    errors = [
        abs(estimate_off_policy(*logged(many, random)).snips.value - TRUTH)
        for many in (20, 20, 20, 2_000, 2_000, 2_000)
    ]
    assert np.mean(errors[3:]) < np.mean(errors[:3])


def test_ips_is_right_on_average_and_snips_varies_less():
    random = np.random.default_rng(2)
    found = [estimate_off_policy(*logged(20, random)) for _ in range(150)]
    ips, snips = np.array([one.ips.value for one in found]), np.array([one.snips.value for one in found])
    assert ips.mean() == pytest.approx(TRUTH, abs=4 * ips.std() / 150**0.5)
    assert snips.mean() == pytest.approx(TRUTH, abs=0.01)
    assert snips.var() < 0.7 * ips.var()


def test_both_are_the_sums_of_the_papers():
    users, reward, propensity, probability = logged(10, np.random.default_rng(3))
    weights, found = probability / propensity, estimate_off_policy(users, reward, propensity, probability)
    assert found.ips.value == pytest.approx((weights * reward).mean())
    assert found.snips.value == pytest.approx((weights * reward).sum() / weights.sum())
    assert found.effective_sample_size == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    _, low, high = found.snips.interval()
    assert low < found.snips.value < high


def test_the_policy_that_was_served_has_earned_what_it_earned():
    users, reward, propensity, _ = logged(10, np.random.default_rng(3))
    found = estimate_off_policy(users, reward, propensity, propensity)
    assert found.ips.value == found.snips.value == pytest.approx(reward.mean())
    assert found.effective_sample_size == pytest.approx(len(reward))


def test_places_that_are_left_to_chance_now_and_then_are_judged_with_that_chance_in_both_probabilities():
    users, reward, propensity, probability = logged(400, np.random.default_rng(4))
    found = estimate_off_policy(users, reward, 0.3 * propensity, 0.3 * probability)
    assert found.ips.value == pytest.approx(TRUTH, abs=0.02)
    _, low, high = found.mean_weight.interval()
    assert low < 1 < high
    # Left out of one of them, it is told by the weights, and SNIPS does not mind.
    wrong = estimate_off_policy(users, reward, 0.3 * propensity, probability)
    assert wrong.mean_weight.interval()[1] > 3
    assert wrong.snips.value == pytest.approx(found.snips.value)


def test_effective_size_by_hand():
    assert effective_sample_size(np.ones(7)) == 7
    assert effective_sample_size(np.array([3.0, 1.0])) == 16 / 10
    assert effective_sample_size(np.zeros(7)) == effective_sample_size(np.zeros(0)) == 0


@pytest.mark.parametrize("enough", [False, True])
def test_below_a_hundred_it_is_refused(enough):
    places = MIN_EFFECTIVE_SAMPLE_SIZE if enough else MIN_EFFECTIVE_SAMPLE_SIZE - 1
    log = (["u"] * 500, np.ones(500), np.full(500, 0.5), np.where(np.arange(500) < places, 0.25, 0.0))
    if enough:
        assert estimate_off_policy(*log).effective_sample_size == pytest.approx(MIN_EFFECTIVE_SAMPLE_SIZE)
    else:
        with pytest.raises(
            EffectiveSampleTooSmall, match=r"500 exploration places are worth 99\.0 .* 100 are needed; wait"
        ):
            estimate_off_policy(*log)


def test_nothing_explored_is_refused():
    with pytest.raises(EffectiveSampleTooSmall, match="the 0 exploration places are worth 0"):
        estimate_off_policy([], np.zeros(0), np.zeros(0), np.zeros(0))


@pytest.mark.parametrize(
    ("propensity", "probability", "said"),
    [(0.0, 0.5, "propensity 0"), (1.5, 0.5, "propensity 1.5"), (0.5, -0.1, "probability -0.1"), (0.5, 2, "probability 2"),
     (np.nan, 0.5, "propensity nan")],
)  # fmt: skip
def test_what_is_no_probability_is_refused(propensity, probability, said):
    with pytest.raises(ValueError, match=said):
        estimate_off_policy(["u"] * 200, np.ones(200), np.full(200, propensity), np.full(200, probability))
