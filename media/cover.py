"""Covers: drawings from the description of a track, as JPEG.

The style determines colors, shapes and texture, the mood light and saturation, the artist emblem and accent color, the
album the arrangement, and language and title the lettering.
"""

from __future__ import annotations

import colorsys
import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from media.cover_shapes import SHAPES, Brush, Color, polygon
from media.cover_textures import TEXTURES
from media.style_table import find_style, mood
from media.track_description import TrackDescription

SIZE = 288  # pixels
SCALE = 2  # drawn at this multiple, so that edges are smooth
VERSION = 1  # increased when equal descriptions give another drawing
QUALITY = 85
FOLLOWS_STYLE, HAS_LETTERING = 0.7, 0.65
"""Shares of albums with the shape or the texture of their style, and with lettering."""


def render_cover(track: TrackDescription) -> Image.Image:
    """The cover of a track, RGB, SIZE x SIZE.

    Raises:
        ValueError: The style or an emotion of the track has no look, or the language no lettering.
    """
    look, (valence, energy) = find_style(track.style).look, mood(track.emotions)
    artist, album = track.generator("emblem", track.artist), track.generator("arrangement", track.album)
    shape, texture, has_lettering = choose_look(track)
    if track.language not in LETTERING:
        raise ValueError(f"no lettering in {track.language!r}; add it to LETTERING in media/cover.py")
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
    _draw_mood(brush, valence, track.generator("mood", track.album))
    _draw_emblem(brush, artist)
    image = image.reduce(SCALE)
    image = TEXTURES[texture](image, album)
    if has_lettering:
        LETTERING[track.language](ImageDraw.Draw(image), track, palette[3])
    return image


def choose_look(track: TrackDescription) -> tuple[str, str, bool]:
    """Shape, texture, and whether there is lettering.

    Covers carry less information about the music than audio does: some albums follow the fashion of another style.
    """
    look, album = find_style(track.style).look, track.generator("look", track.album)
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


def _draw_mood(brush: Brush, valence: float, album: np.random.Generator) -> None:
    """Rain over sad covers, confetti over happy ones."""
    side = brush.side
    if abs(valence) < 0.3:
        return
    for x, y, size in (side * album.random((60, 3))).tolist():
        if valence < 0:
            brush.draw.line((x, y, x - 0.03 * side, y + 0.12 * side), fill=brush.palette[2], width=side // 130)
        else:
            reach = 0.008 * side + 0.014 * size
            brush.draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=brush.palette[2 + (size > side / 2)])


def _draw_emblem(brush: Brush, artist: np.random.Generator) -> None:
    """The emblem of the artist: a polygon, star or ring, always at the same place."""
    side = brush.side
    corners, is_star, is_ring = int(artist.integers(3, 9)), bool(artist.random() < 0.4), bool(artist.random() < 0.35)
    radius = side * float(artist.uniform(0.09, 0.2))
    x, y = (side * float(share) for share in artist.uniform(0.25, 0.75, 2))
    points = polygon(x, y, radius, corners, float(artist.uniform(0, 3)), 0.45 if is_star else 1.0)
    brush.draw.polygon(points, fill=None if is_ring else brush.palette[3], outline=brush.palette[3], width=side // 50)
    for copy in range(int(artist.integers(0, 4))):
        points = polygon(x + (copy + 1) * radius * 0.7, y, radius * 0.5, corners, 0.0, 0.45 if is_star else 1.0)
        brush.draw.polygon(points, outline=brush.palette[2], width=side // 90)


def _latin(draw: ImageDraw.ImageDraw, track: TrackDescription, color: Color) -> None:
    draw.rectangle((0, SIZE - 46, SIZE, SIZE - 10), fill=(245, 245, 240))
    draw.text((12, SIZE - 41), track.title[:24].upper(), fill=(20, 20, 20), font=ImageFont.load_default(21))
    draw.rectangle((0, SIZE - 50, SIZE, SIZE - 47), fill=color)


def _glyphs(
    draw: ImageDraw.ImageDraw,
    track: TrackDescription,
    color: Color,
    place: tuple[int, int],
    step: tuple[int, int],
    size: int,
    stroke: Callable[[ImageDraw.ImageDraw, np.random.Generator, int, int, int, Color], None],
    count: int = 4,
) -> None:
    """Invented letters in a row or column; equal titles have equal letters."""
    random = track.generator("lettering", track.title)
    for number in range(count):
        stroke(draw, random, place[0] + number * step[0], place[1] + number * step[1], size, color)


def _box_glyph(draw: ImageDraw.ImageDraw, random: np.random.Generator, x: int, y: int, size: int, color: Color) -> None:
    """Strokes in a square, dense as in Chinese characters."""
    width = max(size // 12, 2)
    for at in random.uniform(0.05, 0.95, 4):
        draw.line((x, y + size * at, x + size, y + size * at), fill=color, width=width)
    for at in random.uniform(0.1, 0.9, 3):
        draw.line((x + size * at, y, x + size * at, y + size), fill=color, width=width)
    draw.line((x, y + size, x + size * float(random.random()), y), fill=color, width=width)


def _round_glyph(
    draw: ImageDraw.ImageDraw, random: np.random.Generator, x: int, y: int, size: int, color: Color
) -> None:
    """Circles and bars in blocks, as in Hangul."""
    width, half = max(size // 9, 3), size // 2
    draw.ellipse((x, y, x + half, y + half), outline=color, width=width)
    draw.line((x + half + width, y, x + half + width, y + size * 0.6), fill=color, width=width)
    if random.random() < 0.6:
        draw.line((x, y + size * 0.75, x + size * 0.8, y + size * 0.75), fill=color, width=width)
    if random.random() < 0.5:
        draw.line((x + half + width, y + half // 2, x + size * 0.85, y + half // 2), fill=color, width=width)


def _curved_glyph(
    draw: ImageDraw.ImageDraw, random: np.random.Generator, x: int, y: int, size: int, color: Color
) -> None:
    """Few curved strokes, as in kana."""
    width = max(size // 8, 3)
    start = float(random.uniform(0, 180))
    draw.arc((x, y + size * 0.2, x + size, y + size), start, start + 230, fill=color, width=width)
    draw.line((x, y + size * 0.2, x + size * 0.9, y + size * 0.15), fill=color, width=width)
    draw.line((x + size * float(random.uniform(0.3, 0.6)), y, x + size * 0.4, y + size * 0.8), fill=color, width=width)


def _mandarin(draw: ImageDraw.ImageDraw, track: TrackDescription, _: Color) -> None:
    """A column of characters on the right, and a red seal."""
    _glyphs(draw, track, (25, 22, 22), (SIZE - 62, 24), (0, 52), 40, _box_glyph)
    draw.rectangle((SIZE - 56, SIZE - 46, SIZE - 24, SIZE - 14), fill=(190, 30, 30))
    _box_glyph(draw, track.generator("seal", track.artist), SIZE - 52, SIZE - 42, 24, (250, 235, 225))


def _cantonese(draw: ImageDraw.ImageDraw, track: TrackDescription, _: Color) -> None:
    """Neon characters in a framed row at the top."""
    draw.rectangle((14, 14, SIZE - 14, 72), fill=(15, 10, 25), outline=(255, 60, 140), width=4)
    _glyphs(draw, track, (90, 250, 240), (28, 24), (60, 0), 38, _box_glyph)


def _japanese(draw: ImageDraw.ImageDraw, track: TrackDescription, color: Color) -> None:
    """A white strip on the left, as around Japanese records."""
    draw.rectangle((0, 0, 58, SIZE), fill=(248, 246, 240))
    draw.rectangle((0, 0, 58, 34), fill=color)
    _glyphs(draw, track, (20, 20, 30), (13, 46), (0, 46), 32, _curved_glyph, count=5)


def _korean(draw: ImageDraw.ImageDraw, track: TrackDescription, _: Color) -> None:
    """Large white letters in the middle."""
    _glyphs(draw, track, (255, 255, 255), (34, SIZE // 2 - 30), (58, 0), 50, _round_glyph)


LETTERING: dict[str, Callable[[ImageDraw.ImageDraw, TrackDescription, Color], None]] = {
    "Western": _latin,
    "Mandarin": _mandarin,
    "Cantonese": _cantonese,
    "Japanese": _japanese,
    "Korean": _korean,
}
"""Lettering of each language; only Western titles can be read."""
