"""Planned arms and traffic shares of an experiment, read from `shares.json`.

Changing the shares moves users between arms, so a comparison covers a period with constant shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from storage.files import read_json
from training.release.traffic_split import PRODUCTION


@dataclass(frozen=True)
class ExperimentPlan:
    """Constant traffic shares of an experiment over one period."""

    experiment: str
    shares: dict[str, float]  # arm → share of the users, above 0, summing to 1
    since: datetime  # naive UTC
    until: datetime | None  # naive UTC, exclusive; None: still active


class UnknownExperiment(LookupError):
    """The experiment does not exist; the message lists the existing ones."""


def load_latest_plan(file: Path, experiment: str | None = None) -> ExperimentPlan | None:
    """Latest shares of an experiment.

    Args:
        file: `shares.json`; it need not exist.
        experiment: Name; None for the newest.

    Returns:
        None if there was no experiment yet and none is named.

    Raises:
        UnknownExperiment: The named experiment is not in the file.
    """
    content = read_json(file)
    active = [content | {"until": None}] if content.get("beside") else []
    periods = [*content.get("history", []), *active]
    matching = [period for period in periods if experiment in (None, period["experiment"])]
    if experiment is not None and not matching:
        known = ", ".join(sorted({period["experiment"] for period in periods})) or "none"
        raise UnknownExperiment(f"experiment {experiment!r} is not in {file}; known experiments: {known}")
    return _parse_plan(matching[-1]) if matching else None


def _parse_plan(period: dict[str, Any]) -> ExperimentPlan:
    name = period["experiment"]
    shares = {f"{name}/{canary['release']}": float(canary["share"]) for canary in period["beside"]}
    rest = round(1 - sum(shares.values()), 9)
    if rest > 0:
        shares[f"{name}/{PRODUCTION}"] = rest
    until = period["until"]
    return ExperimentPlan(name, shares, _utc(period["since"]), None if until is None else _utc(until))


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
