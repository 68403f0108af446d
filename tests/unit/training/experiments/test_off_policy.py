"""Off-policy estimates on a simulated log with known like probabilities of every user and item."""

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
LIKE_UI = RANDOM.uniform(0.3, 0.9, (USERS, ITEMS))
SHOWN_UI = RANDOM.dirichlet(np.full(ITEMS, 5.0), USERS)  # logging policy
WEIGHT_UI = SHOWN_UI * np.exp(3 * LIKE_UI)
POLICY_UI = WEIGHT_UI / WEIGHT_UI.sum(1, keepdims=True)  # evaluated policy, which prefers liked items
TRUTH = float((POLICY_UI * LIKE_UI).sum(1).mean())


def simulate_log(slots_per_user, random):
    user = np.repeat(np.arange(USERS), slots_per_user)
    item = (SHOWN_UI.cumsum(1)[user] < random.random((len(user), 1))).sum(1).clip(max=ITEMS - 1)
    reward = (random.random(len(user)) < LIKE_UI[user, item]).astype(float)
    return [f"u{number}" for number in user], reward, SHOWN_UI[user, item], POLICY_UI[user, item]


def test_estimates_converge_to_the_true_reward_of_the_policy():
    random = np.random.default_rng(1)
    log = simulate_log(4_000, random)
    found = estimate_off_policy(*log)
    assert abs(TRUTH - log[1].mean()) > 0.02  # the logging policy has another reward
    assert found.ips.value == pytest.approx(TRUTH, abs=0.01)
    assert found.snips.value == pytest.approx(TRUTH, abs=0.01)
    assert (found.slots, found.users) == (4_000 * USERS, USERS)
    errors = [
        abs(estimate_off_policy(*simulate_log(slots, random)).snips.value - TRUTH)
        for slots in (20, 20, 20, 2_000, 2_000, 2_000)
    ]
    assert np.mean(errors[3:]) < np.mean(errors[:3])


def test_ips_is_unbiased_and_snips_has_lower_variance():
    random = np.random.default_rng(2)
    found = [estimate_off_policy(*simulate_log(20, random)) for _ in range(150)]
    ips, snips = np.array([row.ips.value for row in found]), np.array([row.snips.value for row in found])
    assert ips.mean() == pytest.approx(TRUTH, abs=4 * ips.std() / 150**0.5)
    assert snips.mean() == pytest.approx(TRUTH, abs=0.01)
    assert snips.var() < 0.7 * ips.var()


def test_estimates_against_the_formulas_of_the_papers():
    users, reward, propensity, probability = simulate_log(10, np.random.default_rng(3))
    weights, found = probability / propensity, estimate_off_policy(users, reward, propensity, probability)
    assert found.ips.value == pytest.approx((weights * reward).mean())
    assert found.snips.value == pytest.approx((weights * reward).sum() / weights.sum())
    assert found.effective_sample_size == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    _, low, high = found.snips.interval()
    assert low < found.snips.value < high


def test_logging_policy_has_the_logged_reward():
    users, reward, propensity, _ = simulate_log(10, np.random.default_rng(3))
    found = estimate_off_policy(users, reward, propensity, propensity)
    assert found.ips.value == found.snips.value == pytest.approx(reward.mean())
    assert found.effective_sample_size == pytest.approx(len(reward))


def test_exploration_probability_belongs_to_both_probabilities():
    users, reward, propensity, probability = simulate_log(400, np.random.default_rng(4))
    found = estimate_off_policy(users, reward, 0.3 * propensity, 0.3 * probability)
    assert found.ips.value == pytest.approx(TRUTH, abs=0.02)
    _, low, high = found.mean_weight.interval()
    assert low < 1 < high
    # If one of them lacks it, the mean weight shows it, and SNIPS is not affected.
    wrong = estimate_off_policy(users, reward, 0.3 * propensity, probability)
    assert wrong.mean_weight.interval()[1] > 3
    assert wrong.snips.value == pytest.approx(found.snips.value)


def test_effective_size_by_hand():
    assert effective_sample_size(np.ones(7)) == 7
    assert effective_sample_size(np.array([3.0, 1.0])) == 16 / 10
    assert effective_sample_size(np.zeros(7)) == effective_sample_size(np.zeros(0)) == 0


@pytest.mark.parametrize("enough", [False, True])
def test_effective_sample_size_below_minimum_is_refused(enough):
    slots = MIN_EFFECTIVE_SAMPLE_SIZE if enough else MIN_EFFECTIVE_SAMPLE_SIZE - 1
    log = (["u"] * 500, np.ones(500), np.full(500, 0.5), np.where(np.arange(500) < slots, 0.25, 0.0))
    if enough:
        assert estimate_off_policy(*log).effective_sample_size == pytest.approx(MIN_EFFECTIVE_SAMPLE_SIZE)
    else:
        with pytest.raises(EffectiveSampleTooSmall, match=r"500 exploration slots is 99\.0, 100 is required; wait"):
            estimate_off_policy(*log)


def test_log_without_exploration_is_refused():
    with pytest.raises(EffectiveSampleTooSmall, match="of the 0 exploration slots is 0"):
        estimate_off_policy([], np.zeros(0), np.zeros(0), np.zeros(0))


@pytest.mark.parametrize(
    ("propensity", "probability", "message"),
    [(0.0, 0.5, "propensity 0"), (1.5, 0.5, "propensity 1.5"), (0.5, -0.1, "probability -0.1"), (0.5, 2, "probability 2"),
     (np.nan, 0.5, "propensity nan")],
)  # fmt: skip
def test_invalid_probability_is_refused(propensity, probability, message):
    with pytest.raises(ValueError, match=message):
        estimate_off_policy(["u"] * 200, np.ones(200), np.full(200, propensity), np.full(200, probability))
