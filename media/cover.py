"""Covers: drawings from the description of a track, as JPEG.

The style determines colors, shapes and texture, the mood light and saturation, the artist emblem and accent color, the
album the arrangement, and language and title the lettering.
"""

from __future__ import annotations

import colorsys
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from media.cover_shapes import SHAPES, TEXTURES, Brush, Color, polygon
from media.style_table import STYLES, mood
from media.track_description import TrackDescription

SIZE = 288  # pixels
SCALE = 2  # drawn at this multiple, so that edges are smooth
VERSION = 3  # increased when equal descriptions give another drawing
QUALITY = 85
FOLLOWS_STYLE, HAS_LETTERING = 0.85, 0.8
"""Shares of albums with the shape or the texture of their style, and with lettering."""


def render_cover(track: TrackDescription) -> Image.Image:
    """The cover of a track, RGB, SIZE x SIZE."""
    look, (valence, energy) = STYLES[track.style].look, mood(track.emotions)
    artist, album = track.generator("emblem", track.artist), track.generator("arrangement", track.album)
    shape, texture, has_lettering = choose_look(track)
    hue = look.hue + float(artist.normal(0, 0.05)) + float(album.normal(0, 0.03))
    saturation = float(np.clip(look.saturation * (1 + 0.35 * energy), 0.05, 1))
    light = 0.52 + 0.28 * valence
    accent = hue + float(artist.choice((0.33, 0.5, 0.67, 0.12, 0.88)))
    palette = (
        _color(hue, saturation * 0.8, light),
        _color(hue + 0.04, saturation, light * 0.62),
        _color(hue - 0.05, saturation * 0.9, min(light * 1.35 + 0.1, 1)),
        _color(accent, 0.4 + 0.5 * saturation, min(0.5 + 0.4 * light, 1)),
    )
    side = SIZE * SCALE
    image = Image.new("RGB", (side, side), palette[0])
    brush = Brush(ImageDraw.Draw(image), side, palette, album, energy)
    SHAPES[shape](brush)
    _draw_emblem(brush, artist)
    image = image.reduce(SCALE)
    image = TEXTURES[texture](image, album)
    if has_lettering:
        _draw_title(ImageDraw.Draw(image), track, palette[3])
    return image


def choose_look(track: TrackDescription) -> tuple[str, str, bool]:
    """Shape, texture, and whether there is lettering.

    Covers carry less information about the music than audio does: some albums follow the fashion of another style.
    """
    look, album = STYLES[track.style].look, track.generator("look", track.album)
    follows_shape, follows_texture, has_lettering = album.random(3) < (FOLLOWS_STYLE, FOLLOWS_STYLE, HAS_LETTERING)
    shape, texture = str(album.choice(list(SHAPES))), str(album.choice(list(TEXTURES)))
    return look.shape if follows_shape else shape, look.texture if follows_texture else texture, bool(has_lettering)


def encode_jpeg(image: Image.Image) -> bytes:
    """A JPEG file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _color(hue: float, saturation: float, light: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(light, 0.06), 1))
    return round(red * 255), round(green * 255), round(blue * 255)


def _draw_emblem(brush: Brush, artist: np.random.Generator) -> None:
    """The emblem of the artist: a polygon, star or ring, always at the same place."""
    side = brush.side
    corners, is_star, is_ring = int(artist.integers(3, 9)), bool(artist.random() < 0.4), bool(artist.random() < 0.35)
    radius = side * float(artist.uniform(0.09, 0.2))
    x, y = (side * float(share) for share in artist.uniform(0.25, 0.75, 2))
    points = polygon(x, y, radius, corners, float(artist.uniform(0, 3)), 0.45 if is_star else 1.0)
    brush.draw.polygon(points, fill=None if is_ring else brush.palette[3], outline=brush.palette[3], width=side // 50)


def _draw_title(draw: ImageDraw.ImageDraw, track: TrackDescription, color: Color) -> None:
    """The title as lettering of its language; equal titles have equal letters."""
    script = LETTERING[track.language]
    draw.rectangle(script.band, fill=script.ground)
    if not script.lines + script.arcs:
        draw.text((12, SIZE - 41), track.title[:24].upper(), fill=script.ink, font=ImageFont.load_default(21))
    random, size, width = track.generator("lettering", track.title), 40, 4
    for number in range(5 if script.lines + script.arcs else 0):
        x, y = script.place[0] + number * script.step[0], script.place[1] + number * script.step[1]
        for line in range(script.lines):
            at, end = (float(one) * size for one in random.uniform(0.05, 0.95, 2))
            draw.line((x + at, y, x + end, y + size) if line % 2 else (x, y + at, x + size, y + end), script.ink, width)
        for _ in range(script.arcs):
            start, reach = float(random.uniform(0, 180)), size * float(random.uniform(0.5, 1))
            draw.arc((x, y, x + reach, y + reach), start, start + 300, script.ink, width)
    draw.rectangle((0, SIZE - 8, SIZE, SIZE), fill=color)


@dataclass(frozen=True)
class Script:
    """Lettering of a language: a band with five invented letters of lines and arcs; without these, Latin letters."""

    band: tuple[int, int, int, int]
    ground: Color
    ink: Color
    place: tuple[int, int] = (0, 0)  # of the first letter
    step: tuple[int, int] = (0, 0)
    lines: int = 0
    arcs: int = 0


LETTERING = {
    "Western": Script((0, SIZE - 46, SIZE, SIZE - 10), (245, 245, 240), (20, 20, 20)),
    "Mandarin": Script((SIZE - 62, 0, SIZE, SIZE), (190, 30, 30), (250, 235, 225), (SIZE - 52, 14), (0, 54), lines=7),
    "Cantonese": Script((14, 14, SIZE - 14, 72), (15, 10, 25), (90, 250, 240), (20, 24), (52, 0), lines=6),
    "Japanese": Script((0, 0, 58, SIZE), (248, 246, 240), (20, 20, 30), (10, 14), (0, 54), lines=1, arcs=1),
    "Korean": Script((0, 114, SIZE, 174), (30, 60, 160), (255, 255, 255), (14, 124), (54, 0), lines=2, arcs=1),
}
"""Lettering of each language; only Western titles can be read."""
