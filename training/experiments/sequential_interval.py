"""Confidence intervals that stay valid when an experiment is looked at every day.

A fixed-sample 95 % interval covers the true difference in 95 % of experiments that are looked at once. Stopping as soon as it
excludes zero finds a difference in far more than 5 % of experiments without one. A sequential interval covers the true
difference at all looks together with 95 %. This one inverts the mixture sequential probability ratio test (Johari, Pekelis,
Walsh, 2015, "Always Valid Inference", arXiv 1512.04922) with a normal mixture, on the bootstrap variance of the difference;
it is asymptotic, so it needs some hundred users.
"""

from __future__ import annotations

import math

import numpy as np

from training.evaluation.metrics.bootstrap import Estimate

ERROR_RATE = 0.05


def sequential_interval(difference: Estimate, expected_size: float) -> list[float]:
    """[value, low, high] of a difference, valid at every look; NaN without an estimate.

    Args:
        difference: Difference of two arms with its bootstrap samples.
        expected_size: Standard deviation of the normal mixture: about the size of the differences to be found. It must not
            depend on the data. The interval is valid for any size, and narrowest for differences of about this size.

    Raises:
        ValueError: `expected_size` is not above 0.
    """
    if expected_size <= 0:
        raise ValueError(f"expected_size {expected_size} is not above 0")
    value = float(difference.value)
    if len(difference.draws_R) == 0 or not np.isfinite(difference.draws_R).all():
        return [value, math.nan, math.nan]
    variance, mixture = float(np.var(difference.draws_R)), expected_size**2
    if variance == 0:
        return [value, value, value]
    width = math.sqrt(
        variance
        * (variance + mixture)
        / mixture
        * (math.log((variance + mixture) / variance) - 2 * math.log(ERROR_RATE))
    )
    return [value, value - width, value + width]
