"""Drawings for the report as inline SVG: they need no script, no network, and print well. Colours are the page's CSS
variables.

Knows nothing about what the figures mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LABEL_WIDTH, ROW_HEIGHT, VALUE_WIDTH = 880, 270, 26, 200
Interval = Sequence[float | None] | None


@dataclass(frozen=True)
class Bar:
    """One row of an interval chart; `kind` is the CSS class of its colour: memory, channel, chosen."""

    label: str
    interval: Interval
    kind: str = "channel"


def interval_chart(bars: Sequence[Bar], signed: bool = False, from_zero: bool = True, digits: int = 3) -> str:
    """A dot with its 95 % interval a row, alone where there is none, the figures beside it. The axis holds zero, unless
    `from_zero` is off: then it is cut.
    """
    known = [bar.interval for bar in bars if bar.interval and bar.interval[0] is not None]
    if not known:
        return "<p class=note>Nobody could be measured on this.</p>"
    figures = [float(value) for interval in known for value in interval if value is not None]
    anchor = [0.0] if from_zero else []
    low, high = min([*figures, *anchor]), max([*figures, *anchor])
    step = _tick_step(high - low)
    low, high = _round_down(low, step), -_round_down(-high, step)
    span, height = max(high - low, 1e-9), ROW_HEIGHT * len(bars) + 34

    def x(value: float) -> float:
        return LABEL_WIDTH + (value - low) / span * (WIDTH - LABEL_WIDTH - VALUE_WIDTH)

    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" class="chart">']
    for number in range(round(span / step) + 1):
        at = low + number * step
        css = "zero" if abs(at) < step / 10 else "grid"
        parts.append(f'<line class="{css}" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="4" y2="{height - 26}"/>')
        parts.append(f'<text class="tick" x="{x(at):.1f}" y="{height - 10}">{at:.{_decimal_places(step)}f}</text>')
    for row, bar in enumerate(bars):
        y = 4 + ROW_HEIGHT * row + ROW_HEIGHT / 2
        parts.append(f'<text class="label" x="{LABEL_WIDTH - 12}" y="{y + 4}">{escape(bar.label)}</text>')
        value, lower, upper = bar.interval or (None, None, None)
        if value is None:
            continue
        form = f"{'+' if signed else ''}.{digits}f"
        text = f"{value:{form}}"
        if lower is not None and upper is not None:
            text += f" [{lower:{form}}, {upper:{form}}]"
            parts.append(f'<line class="span {bar.kind}" x1="{x(lower):.1f}" x2="{x(upper):.1f}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<circle class="{bar.kind}" cx="{x(value):.1f}" cy="{y}" r="4.5"><title>{escape(bar.label)}: {text}</title></circle>'
        )
        parts.append(f'<text class="figure" x="{WIDTH}" y="{y + 4}">{text}</text>')
    return "".join(parts) + "</svg>"


def calibration_chart(curves: dict[str, Sequence[Sequence[float]]]) -> str:
    """For each ranker, what came true over what was said; the area of a dot grows with the plays behind it."""
    size, pad = 340, 44
    plot = size - 2 * pad

    def at(said: float, true: float) -> tuple[float, float]:
        return pad + said * plot, pad + (1 - true) * plot

    parts = [
        f'<svg viewBox="0 0 {size + 170} {size}" role="img" aria-label="What came true over what was said" class="chart small">'
    ]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = at(tick, tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{pad}" y2="{size - pad}"/>')
        parts.append(f'<line class="grid" x1="{pad}" x2="{size - pad}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{size - pad + 16}">{tick:g}</text>')
        parts.append(f'<text class="tick end" x="{pad - 6}" y="{y + 4:.1f}">{tick:g}</text>')
    parts.append(f'<line class="zero dashed" x1="{pad}" y1="{size - pad}" x2="{size - pad}" y2="{pad}"/>')
    for number, (name, curve) in enumerate(curves.items()):
        most = max((row[2] for row in curve), default=1)
        places = [(*at(said, true), count) for said, true, count in curve]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        parts.append(f'<polyline class="series{number}" points="{path}"/>')
        for x, y, count in places:
            radius = 1.5 + 4 * (count / most) ** 0.5
            parts.append(
                f'<circle class="series{number}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{int(count):,} plays</title></circle>'
            )
        parts.append(f'<circle class="series{number}" cx="{size + 2}" cy="{pad + 22 * number}" r="4.5"/>')
        parts.append(f'<text class="label start" x="{size + 14}" y="{pad + 4 + 22 * number}">{escape(name)}</text>')
    parts.append(f'<text class="tick" x="{size / 2}" y="{size - 6}">probability that was said</text>')
    parts.append(f'<text class="tick" transform="translate(12 {size / 2}) rotate(-90)">share that came true</text>')
    return "".join(parts) + "</svg>"


def _tick_step(span: float) -> float:
    """A round distance of ticks, about five of them."""
    if span <= 0:
        return 0.1
    magnitude = 10 ** float(f"{span / 5:e}".split("e")[1])
    return next(magnitude * one for one in (1, 2, 2.5, 5, 10) if magnitude * one >= span / 5)


def _round_down(value: float, step: float) -> float:
    return round(step * ((value + step * 1e-9) // step), 12)


def _decimal_places(step: float) -> int:
    return max(0, len(f"{step:.6f}".rstrip("0").split(".")[1]))
