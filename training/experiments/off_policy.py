"""What a policy that was never served would have earned, from places that chance filled.

Inverse propensity scoring: what was earned by what the policy would have shown as well counts as many times as it was
unlikely to be shown. IPS (Horvitz & Thompson, 1952) is right on average and varies much; SNIPS (Swaminathan & Joachims,
2015, "The Self-Normalized Estimator for Counterfactual Learning", NeurIPS) divides by the weights that there were, which
is right with more and more places and varies less. Only exploration places count: elsewhere nothing but the one
item could have been shown, and no weight tells what another would have earned.
Legend: N places, U users. Knows nothing about files or releases.
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
    """The places say too little of the policy; the message says how little and what would help."""


@dataclass(frozen=True)
class OffPolicyEstimate:
    """Mean reward of a place under the policy, both ways. `effective` places would say as much if they were its own.

    `mean_weight` is 1 where the policy shows only what chance might have shown in the same places. Where it is not, IPS
    counts what it would have shown beyond that as worth nothing, or, above 1, the probabilities are not of these places.
    """

    ips: Estimate
    snips: Estimate
    mean_weight: Estimate
    effective_sample_size: float
    slots: int
    users: int


def effective_sample_size(weights_N: Floats) -> float:
    """(Σw)² / Σw² (Kish, 1965): N where all weights are the same, 1 where one outweighs all others; 0 of nothing."""
    total = float(weights_N.sum())
    return total**2 / float((weights_N**2).sum()) if total > 0 else 0.0


def estimate_off_policy(
    user_N: Sequence[str], reward_N: Floats, propensity_N: Floats, probability_N: Floats, max_units: int = MAX_UNITS
) -> OffPolicyEstimate:
    """The policy's mean reward with 95 % intervals over users.

    Args:
        user_N: whose place it was.
        reward_N: what came of it.
        propensity_N: with what probability in (0, 1] the item was shown there, the chance that chance was asked in it.
        probability_N: with what probability in [0, 1] the policy would have shown it there, the same chance in it.

    Raises:
        ValueError: a probability is out of its range.
        TooFewEffective: the effective sample size is below FEWEST_EFFECTIVE.
    """
    reward_N, propensity_N, probability_N = (
        np.asarray(one, dtype=np.float64) for one in (reward_N, propensity_N, probability_N)
    )
    _check("propensity", propensity_N, (propensity_N > 0) & (propensity_N <= 1), "above 0 and at most 1")
    _check("probability", probability_N, (probability_N >= 0) & (probability_N <= 1), "from 0 to 1")
    weights_N = probability_N / propensity_N
    effective = effective_sample_size(weights_N)
    if effective < MIN_EFFECTIVE_SAMPLE_SIZE:
        raise EffectiveSampleTooSmall(
            f"the {len(weights_N):,} exploration places are worth {effective:.1f} of the policy's own, {MIN_EFFECTIVE_SAMPLE_SIZE} "
            "are needed; wait for more exposures, explore more, or ask about a policy nearer to what was shown"
        )
    users, number_N = np.unique(np.asarray(user_N), return_inverse=True)
    units = min(len(users), max_units)
    earned_U, weight_U, places_U = (
        np.bincount(number_N % units, values_N, units).astype(np.float64)
        for values_N in (weights_N * reward_N, weights_N, np.ones(len(weights_N)))
    )
    return OffPolicyEstimate(
        ips=ratio(earned_U, places_U),
        snips=ratio(earned_U, weight_U),
        mean_weight=ratio(weight_U, places_U),
        effective_sample_size=effective,
        slots=len(weights_N),
        users=len(users),
    )


def _check(name: str, values_N: Floats, is_right_N: NDArray[np.bool_], range_: str) -> None:
    if not is_right_N.all():
        raise ValueError(f"{name} {values_N[~is_right_N][0]:g} is not {range_}")
