"""The encoders by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from training.content.encoders.audio import AudioEncoder
from training.content.encoders.encoder import Encoder
from training.content.encoders.image import ImageEncoder
from training.content.encoders.text import TextEncoder

ENCODERS: Mapping[str, Callable[[], Encoder[Any, Any]]] = {
    AudioEncoder.name: AudioEncoder,
    ImageEncoder.name: ImageEncoder,
    TextEncoder.name: TextEncoder,
}
