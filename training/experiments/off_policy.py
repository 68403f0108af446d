"""Off-policy evaluation: the expected reward of a policy that was not served, from exploration slots.

Inverse propensity scoring weights each reward by the policy's probability divided by the logged propensity. IPS
(Horvitz & Thompson, 1952) is unbiased with a high variance; SNIPS (Swaminathan & Joachims, 2015, "The Self-Normalized
Estimator for Counterfactual Learning", NeurIPS) divides by the sum of the weights, which is consistent and has a lower
variance. Only exploration slots count: all other slots are deterministic, so no weight could correct them.
Legend: N slots, U users.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics.bootstrap import Estimate
from training.experiments.arm_exposures import MAX_UNITS
from training.experiments.metrics import ratio

MIN_EFFECTIVE_SAMPLE_SIZE = 100

Floats = NDArray[np.float64]


class EffectiveSampleTooSmall(ValueError):
    """The slots have too little information about the policy; the message has the size and the remedy."""


@dataclass(frozen=True)
class OffPolicyEstimate:
    """Mean reward per slot under the policy, by two estimators.

    The expected `mean_weight` is 1 if the policy shows only items that exploration could have shown in the same slots.
    Below 1, IPS counts the policy's other items with reward 0; above 1, the probabilities do not belong to these slots.
    """

    ips: Estimate
    snips: Estimate
    mean_weight: Estimate
    effective_sample_size: float
    slots: int
    users: int


def effective_sample_size(weights_N: Floats) -> float:
    """(Σw)² / Σw² (Kish, 1965): N for equal weights, 1 if a single weight dominates, 0 without weights."""
    total = float(weights_N.sum())
    return total**2 / float((weights_N**2).sum()) if total > 0 else 0.0


def estimate_off_policy(
    user_N: Sequence[str], reward_N: Floats, propensity_N: Floats, probability_N: Floats, max_units: int = MAX_UNITS
) -> OffPolicyEstimate:
    """Mean reward of the policy with 95 % confidence intervals over users.

    Args:
        user_N: User of each slot.
        reward_N: Reward of each slot.
        propensity_N: Logged probability of showing the item in the slot, in (0, 1], including that of exploration.
        probability_N: Probability under the policy, in [0, 1], including the same probability of exploration.
        max_units: Maximum number of users or groups of users to bootstrap over.

    Raises:
        ValueError: A probability is out of range.
        EffectiveSampleTooSmall: The effective sample size is below MIN_EFFECTIVE_SAMPLE_SIZE.
    """
    reward_N, propensity_N, probability_N = (
        np.asarray(values, dtype=np.float64) for values in (reward_N, propensity_N, probability_N)
    )
    _check("propensity", propensity_N, (propensity_N > 0) & (propensity_N <= 1), "above 0 and at most 1")
    _check("probability", probability_N, (probability_N >= 0) & (probability_N <= 1), "from 0 to 1")
    weights_N = probability_N / propensity_N
    effective = effective_sample_size(weights_N)
    if effective < MIN_EFFECTIVE_SAMPLE_SIZE:
        raise EffectiveSampleTooSmall(
            f"the effective sample size of the {len(weights_N):,} exploration slots is {effective:.1f}, "
            f"{MIN_EFFECTIVE_SAMPLE_SIZE} is required; wait for more exposures, explore more, or evaluate a policy "
            "that is closer to the logged one"
        )
    users, number_N = np.unique(np.asarray(user_N), return_inverse=True)
    units = min(len(users), max_units)
    reward_U, weight_U, slots_U = (
        np.bincount(number_N % units, values_N, units).astype(np.float64)
        for values_N in (weights_N * reward_N, weights_N, np.ones(len(weights_N)))
    )
    return OffPolicyEstimate(
        ips=ratio(reward_U, slots_U),
        snips=ratio(reward_U, weight_U),
        mean_weight=ratio(weight_U, slots_U),
        effective_sample_size=effective,
        slots=len(weights_N),
        users=len(users),
    )


def _check(name: str, values_N: Floats, is_valid_N: NDArray[np.bool_], range_: str) -> None:
    if not is_valid_N.all():
        raise ValueError(f"{name} {values_N[~is_valid_N][0]:g} is not {range_}")
