"""What an experiment asked for: its arms, their shares, and since when these shares stand, from `shares.json`.

Shares that change move users between arms, so a comparison is over a stretch of time within which they did not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.release.traffic_split import PRODUCTION


@dataclass(frozen=True)
class ExperimentPlan:
    """Arm ▸ share of the users, above 0, summing to 1; they stood from `since` to before `until` (None: they still do), naive
    UTC.
    """

    experiment: str
    shares: dict[str, float]
    since: datetime
    until: datetime | None


class UnknownExperiment(LookupError):
    """There was no such experiment; the message names those that there were."""


def load_latest_plan(file: Path, experiment: str | None = None) -> ExperimentPlan | None:
    """The last shares of an experiment; of the newest one where none is named. None where there never was any.

    Raises:
        UnknownExperiment: the named one is not in the file.
    """
    content = json.loads(file.read_text()) if file.exists() else {"beside": [], "history": []}
    now = [content | {"until": None}] if content["beside"] else []
    stretches = [*content["history"], *now]
    of_it = [one for one in stretches if experiment in (None, one["experiment"])]
    if experiment is not None and not of_it:
        known = ", ".join(sorted({one["experiment"] for one in stretches})) or "none"
        raise UnknownExperiment(f"experiment {experiment!r} is not in {file}; there: {known}")
    return _parse_plan(of_it[-1]) if of_it else None


def _parse_plan(stretch: dict[str, Any]) -> ExperimentPlan:
    name = stretch["experiment"]
    shares = {f"{name}/{one['release']}": float(one["share"]) for one in stretch["beside"]}
    rest = round(1 - sum(shares.values()), 9)
    if rest > 0:
        shares[f"{name}/{PRODUCTION}"] = rest
    until = stretch["until"]
    return ExperimentPlan(name, shares, _utc(stretch["since"]), None if until is None else _utc(until))


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
