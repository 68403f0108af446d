"""Charts of reports as HTML and inline SVG, which need no script and no network and print well. Colors are CSS variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from web import create_environment

TEMPLATES = Path(__file__).parent / "templates"
SIZE, PAD = 320, 44  # of a calibration chart, in SVG units
SWEEP_WIDTH, SWEEP_HEIGHT, SWEEP_LEFT, SWEEP_TOP, SWEEP_BOTTOM = 320, 190, 52, 10, 148
MAX_SWEEP_LABELS = 9
Interval = Sequence[float | None] | None

_environment = create_environment(TEMPLATES)


@dataclass(frozen=True)
class Bar:
    """One row of an interval chart."""

    label: str
    interval: Interval  # [value, low, high]; None where nothing was measured
    kind: str = "channel"  # CSS class of its color: ours, channel or baseline; of a difference: gain, loss or unclear

    @property
    def value(self) -> float | None:
        """The value without its interval; None where nothing was measured."""
        return self.interval[0] if self.interval else None


@dataclass(frozen=True)
class SweepPoint:
    """Metric at one value of a parameter."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    is_chosen: bool = False


@dataclass(frozen=True)
class Axis:
    """Range of the values of a chart, from tick to tick."""

    low: float
    high: float
    step: float

    @classmethod
    def around(cls, values: Sequence[float], ticks: int = 5) -> Axis:
        """Axis of about `ticks` steps that contains the values."""
        step = _tick_step(max(values) - min(values), ticks)
        return cls(_round_down(min(values), step), -_round_down(-max(values), step), step)

    def share(self, value: float) -> float:
        """Position of a value, 0 to 1."""
        return (value - self.low) / max(self.high - self.low, 1e-9)

    def ticks(self) -> list[tuple[float, str]]:
        """Value and text of each tick."""
        count = round((self.high - self.low) / self.step)
        values = [self.low + number * self.step for number in range(count + 1)]
        return [(value, f"{value:.{_decimal_places(self.step)}f}") for value in values]


def by_value(bars: Sequence[Bar]) -> list[Bar]:
    """The bars with the highest value first; those without one last."""
    return sorted(bars, key=lambda bar: float("inf") if bar.value is None else -bar.value)


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
    axis = Axis.around([*values, 0.0] if from_zero else values)
    ticks = [
        {"css": "zero" if abs(at) < axis.step / 10 else "grid", "at": _percent(axis.share(at)), "text": text}
        for at, text in axis.ticks()
    ]
    rows = []
    for bar in bars:
        value, low, high = bar.interval or (None, None, None)
        row: dict[str, Any] = {
            "label": bar.label,
            "css": bar.kind,
            "at": None,
            "low": None,
            "value": "",
            "interval": "",
        }
        if value is not None:
            text, _, interval = format_interval([value, low, high], signed, digits).partition(" ")
            row |= {"at": _percent(axis.share(value)), "value": text, "interval": interval}
            if low is not None and high is not None:
                row |= {"low": _percent(axis.share(low)), "width": _percent(axis.share(high) - axis.share(low))}
        rows.append(row)
    return _render("interval_chart.html", ticks=ticks, rows=rows)


def sweep_chart(metric: str, parameter: str, points: Sequence[SweepPoint]) -> Markup:
    """Curve of a metric over the values of a parameter, which are spaced equally; the chosen point is marked.

    Args:
        metric: Name of the metric, for readers of the description.
        parameter: Name of the parameter, below the axis.
        points: In ascending order of the parameter. With bounds, they become a band.
    """
    bounds = [bound for point in points for bound in (point.low, point.high) if bound is not None]
    axis = Axis.around([*(point.value for point in points), *bounds], ticks=3)
    distance = (SWEEP_WIDTH - 20 - SWEEP_LEFT) / max(len(points) - 1, 1)

    def x(number: int) -> str:
        return f"{SWEEP_LEFT + 6 + number * distance:.1f}"

    def y(value: float) -> float:
        return round(SWEEP_BOTTOM - axis.share(value) * (SWEEP_BOTTOM - SWEEP_TOP), 1)

    every = -(-len(points) // MAX_SWEEP_LABELS)
    plotted = [
        {
            "x": x(number),
            "y": y(point.value),
            "title": f"{parameter} {point.label}: {format_interval([point.value, point.low, point.high])}",
            "label": point.label if number % every == 0 else "",
        }
        for number, point in enumerate(points)
    ]
    chosen = next((one for one, point in zip(plotted, points, strict=True) if point.is_chosen), None)
    upper = [f"{x(number)},{y(point.high)}" for number, point in enumerate(points) if point.high is not None]
    lower = [f"{x(number)},{y(point.low)}" for number, point in enumerate(points) if point.low is not None]
    return _render(
        "sweep_chart.svg",
        description=f"{metric} by {parameter}" + (f"; chosen: {chosen['title']}" if chosen else ""),
        width=SWEEP_WIDTH,
        height=SWEEP_HEIGHT,
        left=SWEEP_LEFT,
        top=SWEEP_TOP,
        bottom=SWEEP_BOTTOM,
        ticks=[{"y": y(at), "text_y": y(at) + 4, "text": text} for at, text in axis.ticks()],
        points=plotted,
        line=" ".join(f"{point['x']},{point['y']}" for point in plotted),
        band=" ".join([*upper, *lower[::-1]]),
        chosen=chosen,
        parameter=parameter,
    )


def calibration_chart(curves: dict[str, Sequence[Sequence[float]]]) -> Markup:
    """Observed rate by predicted probability for each ranker; the legend is the caller's.

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
    plotted = []
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
        plotted.append({"name": name, "points": " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places), "dots": dots})
    return _render("calibration_chart.svg", size=SIZE, pad=PAD, ticks=ticks, curves=plotted)


def format_interval(interval: Sequence[float | None], signed: bool = False, digits: int = 4) -> str:
    """`value [low, high]`; the value alone if it has no interval, a dash if it has no value."""
    value, low, high = interval
    form = f"{'+' if signed else ''}.{digits}f"
    if value is None:
        return "–"
    return f"{value:{form}}" + (f" [{low:{form}}, {high:{form}}]" if low is not None and high is not None else "")


def _render(template: str, **values: Any) -> Markup:
    return Markup(_environment.get_template(template).render(values))  # noqa: S704 - output of an autoescaped template


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _tick_step(span: float, ticks: int) -> float:
    """A round distance between ticks that gives about that many of them."""
    if span <= 0:
        return 0.1
    magnitude = 10 ** float(f"{span / ticks:e}".split("e")[1])
    return next(magnitude * factor for factor in (1, 2, 2.5, 5, 10) if magnitude * factor >= span / ticks)


def _round_down(value: float, step: float) -> float:
    return round(step * ((value + step * 1e-9) // step), 12)


def _decimal_places(step: float) -> int:
    return max(0, len(f"{step:.6f}".rstrip("0").split(".")[1]))
