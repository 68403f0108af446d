"""Charts of the console: lines over time, drawn by `static/charts.js`, and small ones without axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from config.settings import Settings
from storage import object_store


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
    return [" ".join(line if len(line) > 1 else line * 2) for line in lines if line]


def read_plays_by_day(settings: Settings) -> list[tuple[str, int, float, float]]:
    """Day, plays, and shares of skips and full plays of everything that was shown; in order."""
    file = object_store.fetch_marts(settings) / "online_metrics.parquet"
    if not file.exists():
        return []
    query = """
        select shown_date::varchar, sum(plays), sum(skips) / sum(plays), sum(full_plays) / sum(plays)
        from read_parquet(?) where plays > 0 and channel = 'all' group by 1 order by 1
    """
    with object_store.connect_duckdb(settings.landing) as connection:
        return connection.execute(query, [str(file)]).fetchall()


def skip_rate_chart(rows: Sequence[tuple[str, int, float, float]]) -> Chart:
    """Skip rate and finish rate by day, from `read_plays_by_day`."""
    return Chart(
        "Skips and full plays",
        "share of the plays of shown tracks that were skipped, and that were played to the end, by the day they were shown. "
        "The last day is complete when its events have landed.",
        "%",
        ("skip rate", "finish rate"),
        [row[0] for row in rows],
        [[row[2] for row in rows], [row[3] for row in rows]],
    )
