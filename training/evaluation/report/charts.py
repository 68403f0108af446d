"""Charts of reports as inline SVG, which needs no script and no network and prints well. Colors are CSS variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from web import create_environment

TEMPLATES = Path(__file__).parent / "templates"
WIDTH, LABEL_WIDTH, ROW_HEIGHT, VALUE_WIDTH = 880, 270, 26, 200  # of an interval chart, in SVG units
SIZE, PAD = 340, 44  # of a calibration chart
Interval = Sequence[float | None] | None

_environment = create_environment(TEMPLATES)


@dataclass(frozen=True)
class Bar:
    """One row of an interval chart."""

    label: str
    interval: Interval  # [value, low, high]; None where nothing was measured
    kind: str = "channel"  # CSS class of its color: baseline, channel or chosen


def interval_chart(bars: Sequence[Bar], signed: bool = False, from_zero: bool = True, digits: int = 3) -> Markup:
    """One row per bar: a dot with its 95 % interval, and the numbers as text.

    Args:
        bars: Rows from top to bottom. A bar without an interval is a dot only.
        signed: Show the sign of positive values.
        from_zero: Include zero in the axis.
        digits: Decimal places of the numbers.
    """
    intervals = [bar.interval for bar in bars if bar.interval and bar.interval[0] is not None]
    if not intervals:
        return Markup('<p class="note">No user could be measured.</p>')
    values = [float(value) for interval in intervals for value in interval if value is not None]
    anchor = [0.0] if from_zero else []
    low, high = min([*values, *anchor]), max([*values, *anchor])
    step = _tick_step(high - low)
    low, high = _round_down(low, step), -_round_down(-high, step)
    span = max(high - low, 1e-9)

    def x(value: float) -> str:
        return f"{LABEL_WIDTH + (value - low) / span * (WIDTH - LABEL_WIDTH - VALUE_WIDTH):.1f}"

    ticks = []
    for number in range(round(span / step) + 1):
        at = low + number * step
        css = "zero" if abs(at) < step / 10 else "grid"
        ticks.append({"css": css, "x": x(at), "text": f"{at:.{_decimal_places(step)}f}"})
    rows = []
    for number, bar in enumerate(bars):
        value, lower, upper = bar.interval or (None, None, None)
        has_interval = lower is not None and upper is not None
        rows.append(
            {
                "y": 4 + ROW_HEIGHT * number + ROW_HEIGHT / 2,
                "label": bar.label,
                "css": bar.kind,
                "text": "" if value is None else format_interval([value, lower, upper], signed, digits),
                "x": None if value is None else x(value),
                "low_x": x(lower) if has_interval and lower is not None else None,
                "high_x": x(upper) if has_interval and upper is not None else None,
            }
        )
    height = ROW_HEIGHT * len(bars) + 34
    return _render("interval_chart.svg", width=WIDTH, height=height, label_x=LABEL_WIDTH - 12, ticks=ticks, rows=rows)


def calibration_chart(curves: dict[str, Sequence[Sequence[float]]]) -> Markup:
    """Observed rate by predicted probability for each ranker.

    Args:
        curves: Ranker → rows (mean predicted probability, observed rate, number of plays). The area of a dot grows
            with its number of plays.
    """
    plot = SIZE - 2 * PAD

    def position(predicted: float, observed: float) -> tuple[float, float]:
        return PAD + predicted * plot, PAD + (1 - observed) * plot

    ticks = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = position(tick, tick)
        ticks.append({"x": f"{x:.1f}", "y": f"{y:.1f}", "text_y": f"{y + 4:.1f}", "text": f"{tick:g}"})
    drawn = []
    for name, curve in curves.items():
        largest = max((row[2] for row in curve), default=1)
        places = [(*position(predicted, observed), count) for predicted, observed, count in curve]
        dots = [
            {
                "x": f"{x:.1f}",
                "y": f"{y:.1f}",
                "radius": f"{1.5 + 4 * (count / largest) ** 0.5:.1f}",
                "title": f"{int(count):,} plays",
            }
            for x, y, count in places
        ]
        drawn.append({"name": name, "points": " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places), "dots": dots})
    return _render("calibration_chart.svg", size=SIZE, pad=PAD, ticks=ticks, curves=drawn)


def format_interval(interval: Sequence[float | None], signed: bool = False, digits: int = 4) -> str:
    """`value [low, high]`; the value alone if it has no interval, a dash if it has no value."""
    value, low, high = interval
    form = f"{'+' if signed else ''}.{digits}f"
    if value is None:
        return "–"
    return f"{value:{form}}" + (f" [{low:{form}}, {high:{form}}]" if low is not None and high is not None else "")


def _render(template: str, **values: Any) -> Markup:
    return Markup(_environment.get_template(template).render(values))  # noqa: S704 - output of an autoescaped template


def _tick_step(span: float) -> float:
    """A round distance between ticks that gives about five of them."""
    if span <= 0:
        return 0.1
    magnitude = 10 ** float(f"{span / 5:e}".split("e")[1])
    return next(magnitude * factor for factor in (1, 2, 2.5, 5, 10) if magnitude * factor >= span / 5)


def _round_down(value: float, step: float) -> float:
    return round(step * ((value + step * 1e-9) // step), 12)


def _decimal_places(step: float) -> int:
    return max(0, len(f"{step:.6f}".rstrip("0").split(".")[1]))
