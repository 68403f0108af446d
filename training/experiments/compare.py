"""Arms side by side: the shares they got, the metrics of each, and how each differs from one of them.

Knows nothing about pages or the command line.
"""

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

LOOKBACK_DAYS = 28
"""How far back it is looked where no experiment says since when."""


class NoExposures(LookupError):
    """There is nothing to compare; the message says where it was looked."""


def comparison_period(asked: ExperimentPlan | None, newest: datetime, scene: str | None = None) -> Period:
    """The time within which the asked shares stood; without an experiment, the DAYS before the newest exposure."""
    after = newest + timedelta(microseconds=1)
    if asked is None:
        return Period(newest - timedelta(days=LOOKBACK_DAYS), after, scene)
    return Period(asked.since, after if asked.until is None else asked.until, scene)


def compare(marts: Path, period: Period, asked: ExperimentPlan | None, baseline: str | None = None) -> dict[str, Any]:
    """The shape of `reports/experiment.json`: every figure is [value, low, high], null where it cannot be had.

    Raises:
        MissingInput: there is no mart `exposures`.
        NothingShown: in the period.
        LookupError: nothing was shown in the arm that others are to be compared with.
    """
    found = load_arm_exposures(marts, period, asked.experiment if asked else None)
    if not found.arms:
        raise NoExposures(
            f"nothing was shown{f' in experiment {asked.experiment}' if asked else ''} from {period.since} to "
            f"{period.until}{f' in scene {period.scene}' if period.scene else ''}"
        )
    against = _baseline(found, baseline)
    estimates = {name: measure_arm(arm.counts_U) for name, arm in found.arms.items()}
    ratio = check_sample_ratio({name: arm.users for name, arm in found.arms.items()}, asked.shares) if asked else None
    return {
        "experiment": asked.experiment if asked else None,
        "scene": period.scene,
        "since": period.since.isoformat(),
        "until": period.until.isoformat(),
        "shared_users": found.shared_users,
        "sample_ratio": asdict(ratio) if ratio else None,
        "baseline": against,
        "arms": {
            name: {
                "users": arm.users,
                "requests": arm.requests,
                "exposures": int(arm.counts_U["exposures"].sum()),
                "unsettled": arm.unsettled,
                "releases": arm.releases,
                "metrics": _intervals(estimates[name]),
            }
            for name, arm in found.arms.items()
        },
        "differences": {
            f"{name} - {against}": _intervals({metric: one - estimates[against][metric] for metric, one in of.items()})
            for name, of in estimates.items()
            if name != against
        },
    }


def _baseline(found: ArmExposures, wanted: str | None) -> str:
    """The asked arm, else production, else the one with most users."""
    if wanted is not None and wanted not in found.arms:
        raise LookupError(f"nothing was shown in arm {wanted!r}; arms: {', '.join(found.arms)}")
    production = [name for name in found.arms if name.endswith(f"/{PRODUCTION}")]
    return wanted or next(iter(production), max(found.arms, key=lambda name: found.arms[name].users))


def _intervals(estimates: Mapping[str, Estimate]) -> dict[str, list[float | None]]:
    """A draw without a single case leaves the interval unknown."""
    return {
        name: [value if math.isfinite(value) else None for value in one.interval()] for name, one in estimates.items()
    }
