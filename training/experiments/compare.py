"""Comparison of arms: sample ratio, metrics per arm, and paired differences from a baseline arm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from training.evaluation.metrics.bootstrap import Estimate
from training.experiments.arm_exposures import ArmExposures, Period, load_arm_exposures
from training.experiments.metrics import measure_arm
from training.experiments.plan import ExperimentPlan
from training.experiments.sample_ratio import check_sample_ratio
from training.release.traffic_split import PRODUCTION

LOOKBACK_DAYS = 28  # period of a comparison without an experiment


class NoExposures(LookupError):
    """There are no exposures to compare; the message names the period."""


def comparison_period(plan: ExperimentPlan | None, newest: datetime, scene: str | None = None) -> Period:
    """Period with constant shares of the plan; without an experiment, the LOOKBACK_DAYS before the newest exposure."""
    after = newest + timedelta(microseconds=1)
    if plan is None:
        return Period(newest - timedelta(days=LOOKBACK_DAYS), after, scene)
    return Period(plan.since, after if plan.until is None else plan.until, scene)


def compare(marts: Path, period: Period, plan: ExperimentPlan | None, baseline: str | None = None) -> dict[str, Any]:
    """Content of `reports/experiment.json`: every metric is [value, low, high], null where it is undefined.

    Raises:
        MissingInput: The mart `exposures` does not exist.
        NoExposures: There are no exposures in the period.
        LookupError: The baseline arm has no exposures.
    """
    exposures = load_arm_exposures(marts, period, plan.experiment if plan else None)
    if not exposures.arms:
        raise NoExposures(
            f"there are no exposures{f' of experiment {plan.experiment}' if plan else ''} from {period.since} to "
            f"{period.until}{f' in scene {period.scene}' if period.scene else ''}"
        )
    reference = _baseline(exposures, baseline)
    estimates = {name: measure_arm(arm.counts_U) for name, arm in exposures.arms.items()}
    ratio = check_sample_ratio({name: arm.users for name, arm in exposures.arms.items()}, plan.shares) if plan else None
    return {
        "experiment": plan.experiment if plan else None,
        "scene": period.scene,
        "since": period.since.isoformat(),
        "until": period.until.isoformat(),
        "shared_users": exposures.shared_users,
        "sample_ratio": asdict(ratio) if ratio else None,
        "baseline": reference,
        "arms": {
            name: {
                "users": arm.users,
                "requests": arm.requests,
                "exposures": int(arm.counts_U["exposures"].sum()),
                "unsettled": arm.unsettled,
                "releases": arm.releases,
                "metrics": _intervals(estimates[name]),
            }
            for name, arm in exposures.arms.items()
        },
        "differences": {
            f"{name} - {reference}": _intervals(
                {metric: estimate - estimates[reference][metric] for metric, estimate in of_arm.items()}
            )
            for name, of_arm in estimates.items()
            if name != reference
        },
    }


def _baseline(exposures: ArmExposures, requested: str | None) -> str:
    """The requested arm, otherwise production, otherwise the arm with the most users."""
    arms = exposures.arms
    if requested is not None and requested not in arms:
        raise LookupError(f"arm {requested!r} has no exposures; arms: {', '.join(arms)}")
    production = [name for name in arms if name.endswith(f"/{PRODUCTION}")]
    return requested or next(iter(production), max(arms, key=lambda name: arms[name].users))


def _intervals(estimates: Mapping[str, Estimate]) -> dict[str, list[float | None]]:
    """[value, low, high] by name; None for values that are not finite, e.g. if a bootstrap sample has no exposure."""
    return {
        name: [value if math.isfinite(value) else None for value in estimate.interval()]
        for name, estimate in estimates.items()
    }
