"""Charts of the console: lines over time, drawn by `static/charts.js`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
