"""Shapes on covers, one function for each name in the table of styles."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Brush:
    """What the shapes of one cover share."""

    draw: ImageDraw.ImageDraw
    side: int  # pixels
    palette: tuple[Color, Color, Color, Color]  # background, dark, light, accent
    random: np.random.Generator  # of the album
    energy: float  # -1 to 1

    def count(self, usual: int) -> int:
        """Number of shapes, more of them in excited moods."""
        return max(round(usual * (1 + 0.5 * self.energy)), 2)

    def uniform(self, low: float, high: float) -> float:
        """A random number in the unit of the side."""
        return self.side * float(self.random.uniform(low, high))


def polygon(
    x: float, y: float, radius: float, corners: int, turn: float = 0.0, inner: float = 1.0
) -> list[tuple[float, float]]:
    """Corners of a regular polygon; with `inner` below 1, of a star."""
    radii = [radius, radius * inner] if inner < 1 else [radius]
    places = corners * len(radii)
    return [
        (
            x + radii[place % len(radii)] * math.cos(turn + 2 * math.pi * place / places),
            y + radii[place % len(radii)] * math.sin(turn + 2 * math.pi * place / places),
        )
        for place in range(places)
    ]


def _circles(brush: Brush) -> None:
    for number in range(brush.count(9)):
        x, y, radius = brush.uniform(0, 1), brush.uniform(0, 1), brush.uniform(0.06, 0.28)
        brush.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=brush.palette[1 + number % 2])


def _rays(brush: Brush) -> None:
    side, rays = brush.side, 2 * brush.count(11)
    x, y = brush.uniform(0.3, 0.7), brush.uniform(0.55, 0.95)
    turn = float(brush.random.uniform(0, 1))
    for ray in range(0, rays, 2):
        ends = [2 * math.pi * (ray + edge + turn) / rays for edge in (0, 1)]
        corners = [(x + 2 * side * math.cos(end), y + 2 * side * math.sin(end)) for end in ends]
        brush.draw.polygon([(x, y), *corners], fill=brush.palette[1])
    radius = 0.16 * side
    brush.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=brush.palette[2])


def _mountains(brush: Brush) -> None:
    side = brush.side
    sun = brush.uniform(0.15, 0.85)
    brush.draw.ellipse((sun - 0.12 * side, 0.12 * side, sun + 0.12 * side, 0.36 * side), fill=brush.palette[2])
    for layer in range(4):
        heights = brush.random.uniform(0.0, 0.28, 9)
        ridge = [(side * place / 8, side * (0.42 + 0.14 * layer - heights[place] * 0.8)) for place in range(9)]
        near = layer / 3
        color = tuple(
            round(dark * near + light * (1 - near))
            for dark, light in zip(brush.palette[1], brush.palette[0], strict=True)
        )
        brush.draw.polygon([(0, side), *ridge, (side, side)], fill=(color[0] // 2, color[1] // 2, color[2] // 2))


def _grid(brush: Brush) -> None:
    """A grid in perspective below a horizon, on black."""
    side, horizon = brush.side, brush.uniform(0.45, 0.6)
    brush.draw.rectangle((0, 0, side, side), fill=(10, 8, 24))
    middle = brush.uniform(0.35, 0.65)
    for line in range(-16, 17):
        brush.draw.line((middle, horizon, middle + line * side * 0.2, side), fill=brush.palette[2], width=3)
    for row in range(1, 12):
        y = horizon + (side - horizon) * (row / 11) ** 2
        brush.draw.line((0, y, side, y), fill=brush.palette[2], width=3)
    radius = brush.uniform(0.18, 0.26)
    brush.draw.pieslice(
        (middle - radius, horizon - radius, middle + radius, horizon + radius), 180, 360, fill=brush.palette[0]
    )


def _bars(brush: Brush) -> None:
    """Bars of an equalizer."""
    side, bars = brush.side, brush.count(14)
    for bar in range(bars):
        height, width = brush.uniform(0.1, 0.85), side / bars
        color = brush.palette[1 + bar % 3]
        brush.draw.rectangle((bar * width, side - height, (bar + 0.75) * width, side), fill=color)


def _letters(brush: Brush) -> None:
    """Thick slanted strokes and drips, as on a sprayed wall."""
    side = brush.side
    brush.draw.rectangle((0, 0, side, side), fill=tuple(part // 3 for part in brush.palette[1]))
    for number in range(brush.count(10)):
        x, y = brush.uniform(0, 0.9), brush.uniform(0.1, 0.8)
        points = [(x + brush.uniform(-0.2, 0.3), y + brush.uniform(-0.25, 0.25)) for _ in range(4)]
        brush.draw.line(points, fill=brush.palette[2 + number % 2], width=side // 16, joint="curve")
        brush.draw.line((x, y, x, y + brush.uniform(0.05, 0.3)), fill=brush.palette[2 + number % 2], width=side // 90)


def _waves(brush: Brush) -> None:
    side = brush.side
    frequency, phase = float(brush.random.uniform(1, 2.5)), float(brush.random.uniform(0, 6))
    for band in range(7):
        middle = side * (0.25 + 0.11 * band)
        top = [
            (x, middle + side * 0.05 * math.sin(2 * math.pi * frequency * x / side + phase + band * 0.7))
            for x in range(0, side + 1, side // 36)
        ]
        brush.draw.polygon([*top, (side, side), (0, side)], fill=brush.palette[(1, 0, 2)[band % 3]])


def _keys(brush: Brush) -> None:
    """Keys of a piano across the cover, and a spotlight."""
    side, top = brush.side, brush.uniform(0.45, 0.65)
    brush.draw.rectangle((0, 0, side, side), fill=brush.palette[1])
    x, radius = brush.uniform(0.2, 0.8), brush.uniform(0.2, 0.4)
    brush.draw.ellipse((x - radius, top - 2 * radius, x + radius, top), fill=brush.palette[0])
    width = side / 11
    for key in range(11):
        brush.draw.rectangle((key * width, top, (key + 1) * width - 4, side), fill=(240, 238, 228))
    for key in (0, 1, 3, 4, 5, 7, 8):
        brush.draw.rectangle(
            ((key + 0.68) * width, top, (key + 1.3) * width, top + 0.6 * (side - top)), fill=(18, 18, 20)
        )


def _frame(brush: Brush) -> None:
    """A framed picture on plain ground."""
    side = brush.side
    brush.draw.rectangle((0, 0, side, side), fill=(232, 224, 204))
    for inset, color in ((0.1, brush.palette[1]), (0.13, brush.palette[2]), (0.15, brush.palette[0])):
        edge = side * inset
        brush.draw.rectangle((edge, edge, side - edge, side - edge), fill=color)
    for line in range(5):
        y = side * (0.35 + 0.05 * line)
        brush.draw.line((side * 0.2, y, side * 0.8, y), fill=brush.palette[1], width=3)
    for note in range(brush.count(6)):
        x, y = side * (0.24 + 0.08 * note), side * (0.325 + 0.025 * int(brush.random.integers(0, 9)))
        brush.draw.ellipse((x, y, x + side * 0.05, y + side * 0.04), fill=(30, 25, 20))
        brush.draw.line(
            (x + side * 0.048, y + side * 0.02, x + side * 0.048, y - side * 0.12), fill=(30, 25, 20), width=4
        )


def _mandala(brush: Brush) -> None:
    side, petals = brush.side, 2 * int(brush.random.integers(4, 9))
    x = y = side / 2
    for ring in range(5, 0, -1):
        radius, turn = side * 0.11 * ring, float(brush.random.uniform(0, 1))
        brush.draw.polygon(polygon(x, y, radius, petals, turn, 0.72), fill=brush.palette[ring % 4])
        for place in polygon(x, y, radius * 0.86, petals, turn):
            dot = side * 0.016
            brush.draw.ellipse((place[0] - dot, place[1] - dot, place[0] + dot, place[1] + dot), fill=brush.palette[2])


def _stripes(brush: Brush) -> None:
    side, stripes = brush.side, brush.count(7)
    for stripe in range(stripes):
        y = side * stripe / stripes
        color = (brush.palette[1], brush.palette[2], (235, 230, 220), brush.palette[3])[stripe % 4]
        brush.draw.rectangle((0, y, side, y + side / stripes), fill=color)
    radius = brush.uniform(0.15, 0.27)
    x, y = brush.uniform(0.35, 0.65), brush.uniform(0.35, 0.65)
    for share, color in ((1.0, brush.palette[1]), (0.66, (240, 240, 235)), (0.33, brush.palette[3])):
        reach = radius * share
        brush.draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=color)


def _spikes(brush: Brush) -> None:
    side = brush.side
    brush.draw.rectangle((0, 0, side, side), fill=(14, 12, 13))
    x, y = brush.uniform(0.4, 0.6), brush.uniform(0.35, 0.5)
    for _ in range(brush.count(34)):
        turn, reach = brush.random.uniform(0, 2 * math.pi), brush.uniform(0.25, 0.75)
        tip = (x + reach * math.cos(turn), y + reach * math.sin(turn))
        base = polygon(x, y, side * 0.05, 2, turn + math.pi / 2)
        brush.draw.polygon([*base, tip], fill=brush.palette[int(brush.random.integers(0, 3))])


def _cutouts(brush: Brush) -> None:
    """Torn paper in rough rectangles."""
    side = brush.side
    for number in range(brush.count(9)):
        x, y = brush.uniform(0, 0.8), brush.uniform(0, 0.8)
        width, height = brush.uniform(0.15, 0.4), brush.uniform(0.08, 0.25)
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        torn = [(a + brush.uniform(-0.05, 0.05), b + brush.uniform(-0.05, 0.05)) for a, b in corners]
        brush.draw.polygon(torn, fill=((250, 250, 245), (15, 15, 15), brush.palette[2], brush.palette[3])[number % 4])
    brush.draw.line((0, brush.uniform(0, 1), side, brush.uniform(0, 1)), fill=(15, 15, 15), width=side // 28)


def _ink(brush: Brush) -> None:
    """Ink on paper: a hill in the mist, the moon and a branch."""
    side = brush.side
    brush.draw.rectangle((0, 0, side, side), fill=(236, 230, 214))
    x = brush.uniform(0.15, 0.6)
    brush.draw.ellipse((x, 0.1 * side, x + 0.2 * side, 0.3 * side), fill=brush.palette[2])
    for layer in range(3):
        peak, height = brush.uniform(0.2, 0.8), brush.uniform(0.25, 0.5)
        shade = 170 - 45 * layer
        points = [
            (place, side - height * math.exp(-(((place - peak) / (0.25 * side)) ** 2)) * (1 - 0.2 * layer))
            for place in range(0, side + 1, side // 32)
        ]
        brush.draw.polygon([(0, side), *points, (side, side)], fill=(shade, shade + 6, shade))
    start = (0.0, brush.uniform(0.1, 0.4))
    for _ in range(brush.count(4)):
        end = (start[0] + brush.uniform(0.08, 0.2), start[1] + brush.uniform(-0.08, 0.1))
        brush.draw.line((*start, *end), fill=(35, 33, 32), width=side // 45)
        dot = side * 0.018
        brush.draw.ellipse((end[0] - dot, end[1] - dot, end[0] + dot, end[1] + dot), fill=brush.palette[3])
        start = end


SHAPES: dict[str, Callable[[Brush], None]] = {
    "circles": _circles,
    "rays": _rays,
    "mountains": _mountains,
    "grid": _grid,
    "bars": _bars,
    "letters": _letters,
    "waves": _waves,
    "keys": _keys,
    "frame": _frame,
    "mandala": _mandala,
    "stripes": _stripes,
    "spikes": _spikes,
    "cutouts": _cutouts,
    "ink": _ink,
}
