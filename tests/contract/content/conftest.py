"""Encoders for the tests of this folder; loading them takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from content.encoders.audio import AudioEncoder
from content.encoders.encoder import Encoder
from content.encoders.image import ImageEncoder
from content.encoders.text import TextEncoder
from tests.support.training.media import AUDIO_CODECS, IMAGE_SUFFIXES, music, picture, write_audio
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


@pytest.fixture(scope="package")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same music and the same picture in every format, by extension."""
    folder = tmp_path_factory.mktemp("formats")
    for suffix in IMAGE_SUFFIXES:
        picture().save(folder / f"file{suffix}", **({"quality": 95} if suffix == ".jpg" else {}))
    for suffix in AUDIO_CODECS:
        write_audio(folder / f"file{suffix}", music(4, 48_000), 48_000)  # Opus is always 48 kHz
    return {path.suffix: path for path in folder.iterdir()}
