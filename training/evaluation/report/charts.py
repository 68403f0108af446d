"""The chart of reports: rows with a value and its interval, as HTML, which needs no script and no network and prints well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from web import create_environment

TEMPLATES = Path(__file__).parent / "templates"
TICK_STEPS = (1, 2, 2.5, 5, 10)  # times a power of ten
Interval = Sequence[float | None] | None

_environment = create_environment(TEMPLATES)


@dataclass(frozen=True)
class Bar:
    """One row of an interval chart."""

    label: str
    interval: Interval  # [value, low, high]; None where nothing was measured
    kind: str = "channel"  # CSS class of its color: ours, channel or baseline

    @property
    def value(self) -> float | None:
        """The value without its interval; None where nothing was measured."""
        return self.interval[0] if self.interval else None


def by_value(bars: Sequence[Bar]) -> list[Bar]:
    """The bars with the highest value first; those without one last."""
    return sorted(bars, key=lambda bar: float("inf") if bar.value is None else -bar.value)


def interval_chart(bars: Sequence[Bar], from_zero: bool = True, digits: int = 3) -> Markup:
    """One row per bar: a dot with its 95 % interval, and the numbers as text.

    Args:
        bars: Rows from top to bottom. A bar without an interval is a dot only.
        from_zero: Include zero in the axis.
        digits: Decimal places of the numbers.
    """
    values = [
        float(value) for bar in bars if bar.value is not None for value in bar.interval or () if value is not None
    ]
    if not values:
        return Markup('<p class="note">No user could be measured.</p>')
    ticks = axis_ticks([*values, 0.0] if from_zero else values)

    def position(value: float | None) -> float | None:
        return None if value is None else round(100 * (value - ticks[0]) / (ticks[-1] - ticks[0]), 2)

    rows: list[dict[str, Any]] = []
    for bar in bars:
        at, low, high = (position(value) for value in bar.interval or (None, None, None))
        text, _, interval = format_interval(bar.interval or (None, None, None), digits=digits).partition(" ")
        rows.append({"bar": bar, "at": at, "low": low, "high": high, "value": text, "interval": interval})
    axis = [(position(tick), f"{tick:g}", tick == 0) for tick in ticks]
    return Markup(_environment.get_template("interval_chart.html").render(axis=axis, rows=rows))  # noqa: S704 - autoescaped


def axis_ticks(values: Sequence[float], count: int = 5) -> list[float]:
    """About `count` round numbers at equal distances, the first below and the last above all values."""
    distance = (max(values) - min(values) or count / 10) / count
    magnitude = 10 ** math.floor(math.log10(distance))
    step = next(magnitude * factor for factor in TICK_STEPS if magnitude * factor >= distance * (1 - 1e-9))
    first = math.floor(min(values) / step + 1e-9)
    last = max(math.ceil(max(values) / step - 1e-9), first + 1)
    return [round(step * number, 12) for number in range(first, last + 1)]


def format_interval(interval: Sequence[float | None], signed: bool = False, digits: int = 4) -> str:
    """`value [low, high]`; the value alone if it has no interval, a dash if it has no value."""
    value, low, high = interval
    form = f"{'+' if signed else ''}.{digits}f"
    if value is None:
        return "–"
    return f"{value:{form}}" + (f" [{low:{form}}, {high:{form}}]" if low is not None and high is not None else "")


def of_100(interval: Sequence[float | None]) -> str:
    """A share as a count of 100, with its bounds: `54 (53 to 55)`; below 10 with one decimal."""
    if interval[0] is None:
        return "an unknown number"
    digits = 1 if interval[0] < 0.1 else 0
    value, low, high = ("" if share is None else f"{100 * share:.{digits}f}" for share in interval)
    return f"{value} ({low} to {high})" if low else value


def more_of_100(interval: Sequence[float | None], kind: str) -> str:
    """A difference of shares as a count of 100: `1.8 more (0.9 to 2.7)`.

    Args:
        interval: [difference, low, high].
        kind: CSS class of the difference; `unclear` is said.
    """
    value, *bounds = interval
    text = _more(value or 0.0)
    if None not in bounds:
        low, high = (bound or 0.0 for bound in bounds)
        parts = (
            (_more(low), _more(high))
            if low < 0 < high
            else (f"{100 * one:.1f}" for one in sorted((abs(low), abs(high))))
        )
        text += f" ({' to '.join(parts)})"
    return f"{text}, which may be chance," if kind == "unclear" else text


def _more(difference: float) -> str:
    return f"{abs(100 * difference):.1f} {'fewer' if difference < 0 else 'more'}"
