"""Charts over time: recall by release, skip rate by day, drift and training/serving skew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from config.settings import Settings
from console.charts import Chart
from console.releases import Release
from storage import object_store
from storage.daily_files import read_history

DRIFT_METRICS = ("action_drift", "length_drift", "volume_ratio")


def recall_chart(releases: Sequence[Release]) -> Chart:
    """Recall@30 of the served list with its interval, by release."""
    points = []
    for release in sorted(releases, key=lambda release: str(release.manifest.get("released_at", ""))):
        interval = release.manifest.get("gate", {}).get("figures", {}).get("slate")
        if interval:
            points.append((str(release.manifest.get("released_at", ""))[:19], interval))
    columns: list[list[float | None]] = [[interval[position] for _, interval in points] for position in range(3)]
    return Chart(
        "Recall by release",
        "recall@30 of the served list on held-out listening, by time of the release, with its 95 % interval. Higher is better. "
        "Releases of different days are evaluated on different days, so compare neighbors only.",
        "",
        ("recall@30", "lower bound", "upper bound"),
        [time for time, _ in points],
        columns,
    )


def skip_rate_chart(settings: Settings) -> Chart:
    """Skip rate and finish rate of everything that was shown, by day."""
    file = object_store.fetch_marts(settings) / "online_metrics.parquet"
    rows: list[Any] = []
    if file.exists():
        query = """
            select shown_date::varchar, sum(skips) / sum(plays), sum(full_plays) / sum(plays)
            from read_parquet(?) where plays > 0 group by 1 order by 1
        """
        with object_store.connect_duckdb(settings.landing) as connection:
            rows = connection.execute(query, [str(file)]).fetchall()
    return Chart(
        "Skips and full plays",
        "share of the plays of shown tracks that were skipped, and that were played to the end, by the day they were shown. "
        "The last day is complete when its events have landed.",
        "%",
        ("skip rate", "finish rate"),
        [row[0] for row in rows],
        [[row[1] for row in rows], [row[2] for row in rows]],
    )


def drift_chart(settings: Settings) -> Chart:
    """Distance of each day's events from the week before it."""
    rows = read_history(settings.reports / "history" / "landed.jsonl")
    return Chart(
        "Drift",
        "newest day of landed events against the week before it: distance of the distributions of actions and of session "
        "lengths (0 is equal), and ratio of the number of events (1 is equal).",
        "",
        [name.replace("_", " ") for name in DRIFT_METRICS],
        [str(row["as_of"]) for row in rows],
        [[_number(row, name) for row in rows] for name in DRIFT_METRICS],
    )


def skew_chart(settings: Settings) -> Chart:
    """Share of feature values that differ between serving and training, by day."""
    rows = read_history(settings.reports / "history" / "skew.jsonl")
    return Chart(
        "Training/serving skew",
        "share of the feature values that requests read online and that differ from those that training reads. 0 is right.",
        "%",
        ("skew",),
        [str(row["as_of"]) for row in rows],
        [[_number(row, "skew_rate") for row in rows]],
    )


def _number(row: Mapping[str, object], name: str) -> float | None:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) else None
