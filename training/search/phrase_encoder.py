"""The sentence encoder of queries and phrases, loaded once per process and only if it is used."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from training.content.encoders.text import TextEncoder


def encode_phrases(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors [B, D] of texts."""
    encoder = _encoder()
    return encoder.encode([encoder.load(text) for text in texts])


def encoder_version() -> str:
    """Version of the vectors."""
    return _encoder().version


@cache
def _encoder() -> TextEncoder:
    from training.content.encoders.text import TextEncoder  # imports a neural network library

    return TextEncoder()
