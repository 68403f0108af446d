"""Encoders for the tests of this folder; loading them takes seconds."""

from __future__ import annotations

from typing import Any

import pytest

from content.encoders.audio import AudioEncoder
from content.encoders.encoder import Encoder
from content.encoders.image import ImageEncoder
from content.encoders.text import TextEncoder
from training.encode_content import ENCODERS


@pytest.fixture(scope="package")
def audio_encoder() -> AudioEncoder:
    """The audio encoder."""
    return AudioEncoder()


@pytest.fixture(scope="package")
def image_encoder() -> ImageEncoder:
    """The image encoder."""
    return ImageEncoder()


@pytest.fixture(scope="package")
def text_encoder() -> TextEncoder:
    """The text encoder."""
    return TextEncoder()


@pytest.fixture(scope="package", params=sorted(ENCODERS))
def encoder(request: pytest.FixtureRequest) -> Encoder[Any, Any]:
    """Every encoder of the table."""
    loaded: Encoder[Any, Any] = request.getfixturevalue(f"{request.param}_encoder")
    return loaded
