"""Lifetimes of what a home accumulates, from `SEGUE_KEEP_*_DAYS`."""

from __future__ import annotations

from dataclasses import dataclass

from config.settings import SettingError, read_number

FOREVER = 0
MAX_DAYS = 36_500
MIN_LANDED_DAYS = 28
"""Days of events that the marts of one day read: `plays_28d` of `track_statistics`."""
MIN_LOG_DAYS = 2
"""A day of the recommender's logs is read on the next day, by landing and by the skew comparison."""
VARIABLES = {
    "landed": "SEGUE_KEEP_LANDED_DAYS",
    "event_log": "SEGUE_KEEP_EVENT_LOG_DAYS",
    "feature_log": "SEGUE_KEEP_FEATURE_LOG_DAYS",
    "workspaces": "SEGUE_KEEP_WORKSPACES_DAYS",
    "releases": "SEGUE_KEEP_RELEASES_DAYS",
    "mlflow": "SEGUE_KEEP_MLFLOW_DAYS",
    "reports": "SEGUE_KEEP_REPORTS_DAYS",
}
"""Store ▸ environment variable of its lifetime."""


@dataclass(frozen=True)
class Lifetimes:
    """Number of days that things are kept; FOREVER: they are not removed."""

    # Landed rows before the newest landed day, which the next build removes from the marts; quarantined rows before today.
    landed: int = FOREVER
    event_log: int = 30  # the recommender's event log, after landing
    feature_log: int = 30  # features of requests
    workspaces: int = 14  # training workspaces and their cached arrays
    releases: int = 30  # releases that are neither served nor reachable by a rollback
    mlflow: int = 90  # MLflow runs
    reports: int = 90  # pages in folders of `reports`


def load_lifetimes() -> Lifetimes:
    """Return the lifetimes of the environment.

    Raises:
        SettingError: A value is not a number of days, or too small to run the pipeline.
    """
    default = Lifetimes()
    days = {
        field: read_number(name, getattr(default, field), 0, MAX_DAYS, "number of days")
        for field, name in VARIABLES.items()
    }
    minima = {"landed": MIN_LANDED_DAYS, "event_log": MIN_LOG_DAYS, "feature_log": MIN_LOG_DAYS}
    for field, minimum in minima.items():
        if FOREVER < days[field] < minimum:
            raise SettingError(
                f"{VARIABLES[field]}={days[field]} is less than the {minimum} days that the pipeline reads; set it to at "
                f"least {minimum}, or to {FOREVER} to keep everything"
            )
    return Lifetimes(**days)
