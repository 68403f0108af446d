"""Charts of the console: lines over time, drawn by `static/charts.js`: recall by release, skip rate by day, drift and skew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config.settings import Settings
from console.releases import Release
from storage import object_store
from storage.daily_files import read_history
from web import format_utc_minute


@dataclass(frozen=True)
class Chart:
    """Lines over time, drawn by `static/charts.js` and listed as a table.

    Attributes:
        title: Heading.
        note: What the lines are, and how to read them.
        unit: Unit of the values; "%" for shares, which are multiplied by 100 for display.
        lines: Name of each line.
        labels: Date or time of each point, ISO 8601.
        values: Values of each line, None where there is none.
    """

    title: str
    note: str
    unit: str
    lines: Sequence[str]
    labels: Sequence[str]
    values: Sequence[Sequence[float | None]]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Rows of the table, newest first."""
        columns = zip(*self.values, strict=True)
        return [
            (format_utc_minute(label), *map(self._format, row)) for label, row in zip(self.labels, columns, strict=True)
        ][::-1]

    def _format(self, value: float | None) -> str:
        if value is None:
            return ""
        return f"{value:.3%}" if self.unit == "%" else f"{value:.4f}"


SPARK_WIDTH, SPARK_HEIGHT = 120, 26


def sparkline(values: Sequence[float | None], most: float | None = None) -> list[str]:
    """Points of the polylines of a small chart from zero, in units of SPARK_WIDTH x SPARK_HEIGHT; gaps where values are missing.

    Args:
        values: From left to right.
        most: Upper end of the axis; default: the largest value.
    """
    known = [value for value in values if value is not None]
    top = max([*known, most or 0.0]) or 1.0
    step = (SPARK_WIDTH - 2) / max(len(values) - 1, 1)
    lines: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            lines.append([])
        else:
            lines[-1].append(f"{1 + number * step:.1f},{SPARK_HEIGHT - 2 - value / top * (SPARK_HEIGHT - 4):.1f}")
    return [" ".join(line) for line in lines if line]


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
    rows = read_history(settings.reports / "history" / "marts.jsonl")
    return Chart(
        "Drift",
        "newest day of the mart `events` against the week before it: distance of the distributions of actions and of play "
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
