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


def _scanlines(image: Image.Image, _: np.random.Generator) -> Image.Image:
    light_Y = np.where(np.arange(image.height) % 4 < 2, 1.0, 0.6).astype(np.float32)
    return _multiply(image, np.repeat(light_Y[:, None], image.width, 1))


def _smooth(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.BoxBlur(3))


TEXTURES: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "gradient": _gradient,
    "grain": _grain,
    "scanlines": _scanlines,
    "smooth": _smooth,
}
