"""Shapes on covers, and textures over them: one function for each name in the table of styles.

Shape letters: Y rows, X columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

Color = tuple[int, int, int]

Gray = NDArray[np.float32]


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


def _bars(brush: Brush) -> None:
    """Bars of an equalizer."""
    side, bars = brush.side, brush.count(14)
    for bar in range(bars):
        height, width = brush.uniform(0.1, 0.85), side / bars
        color = brush.palette[1 + bar % 3]
        brush.draw.rectangle((bar * width, side - height, (bar + 0.75) * width, side), fill=color)


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


SHAPES: dict[str, Callable[[Brush], None]] = {
    "circles": _circles,
    "rays": _rays,
    "bars": _bars,
    "waves": _waves,
    "stripes": _stripes,
}


def _multiply(image: Image.Image, light_YX: Gray) -> Image.Image:
    """The image darkened to a share of its light, 0 to 1."""
    mask = Image.fromarray((np.clip(light_YX, 0, 1) * 255).astype(np.uint8))
    return ImageChops.multiply(image, Image.merge("RGB", (mask, mask, mask)))


def _gradient(image: Image.Image, _: np.random.Generator) -> Image.Image:
    down_Y = np.linspace(1.0, 0.55, image.height, dtype=np.float32)
    return _multiply(image, np.repeat(down_Y[:, None], image.width, 1))


def _grain(image: Image.Image, random: np.random.Generator) -> Image.Image:
    return _multiply(image, 1 - np.float32(0.4) * random.random((image.height, image.width), dtype=np.float32))


TEXTURES: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "gradient": _gradient,
    "grain": _grain,
}
