"""Textures over covers, one function for each name in the table of styles. Shape letters: Y rows, X columns, C colors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

Gray = NDArray[np.float32]


def _multiply(image: Image.Image, light_YX: Gray) -> Image.Image:
    """The image darkened to a share of its light, 0 to 1."""
    mask = Image.fromarray((np.clip(light_YX, 0, 1) * 255).astype(np.uint8))
    return ImageChops.multiply(image, Image.merge("RGB", (mask, mask, mask)))


def _gradient(image: Image.Image, _: np.random.Generator) -> Image.Image:
    down_Y = np.linspace(1.0, 0.55, image.height, dtype=np.float32)
    return _multiply(image, np.repeat(down_Y[:, None], image.width, 1))


def _grain(image: Image.Image, random: np.random.Generator) -> Image.Image:
    return _multiply(image, 1 - np.float32(0.4) * random.random((image.height, image.width), dtype=np.float32))


def _paper(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Soft spots and fibers, with yellowed edges."""
    spots = Image.fromarray((random.random((36, 36)) * 255).astype(np.uint8)).resize(
        image.size, Image.Resampling.BICUBIC
    )
    spot_YX = np.asarray(spots, np.float32) / np.float32(255)
    return ImageChops.multiply(
        _multiply(image, np.float32(0.82) + np.float32(0.18) * spot_YX), Image.new("RGB", image.size, (255, 244, 222))
    )


def _scanlines(image: Image.Image, _: np.random.Generator) -> Image.Image:
    light_Y = np.where(np.arange(image.height) % 4 < 2, 1.0, 0.6).astype(np.float32)
    return _multiply(image, np.repeat(light_Y[:, None], image.width, 1))


def _halftone(image: Image.Image, _: np.random.Generator) -> Image.Image:
    y, x = np.mgrid[0 : image.height, 0 : image.width].astype(np.float32)
    dot_YX = np.sin((x + y) * np.float32(0.55)) * np.sin((x - y) * np.float32(0.55))
    return _multiply(image, np.where(dot_YX > 0.25, np.float32(0.62), np.float32(1)))


def _glow(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return ImageChops.screen(image.filter(ImageFilter.BoxBlur(5)), image.filter(ImageFilter.BoxBlur(14)))


def _scratches(image: Image.Image, random: np.random.Generator) -> Image.Image:
    light_YX = 1 - 0.3 * random.random((image.height, image.width), dtype=np.float32)
    for column in random.integers(0, image.width, 26):
        start = int(random.integers(0, image.height))
        light_YX[start : start + 90, column] = 0.1
    return _multiply(image, light_YX)


def _smooth(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.BoxBlur(3))


TEXTURES: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "gradient": _gradient,
    "grain": _grain,
    "paper": _paper,
    "scanlines": _scanlines,
    "halftone": _halftone,
    "glow": _glow,
    "scratches": _scratches,
    "smooth": _smooth,
}
