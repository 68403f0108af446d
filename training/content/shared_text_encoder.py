"""The text encoder of this process, shared by search and playlist continuation: it takes about 100 MB."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from training.content.encoders.text import TextEncoder

ENCODER_LOCK = threading.Lock()
"""The encoder loads its weights at its first call, and sets the number of BLAS threads of the process in every call."""


def encode_texts(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit-length vectors float32 [T, D]; zeros for a text without content."""
    with ENCODER_LOCK:
        encoder = _load_text_encoder()
        return encoder.encode([encoder.load(text) for text in texts])


def text_encoder_version() -> str:
    """Version of the vectors."""
    return _load_text_encoder().version


@cache
def _load_text_encoder() -> TextEncoder:
    # Imported here, because processes that encode no text do not need it.
    from training.content.encoders.text import TextEncoder

    return TextEncoder()
