"""Rates of the content encoders from file to vector, per second of CPU time of one thread.

    encode_audio  patches of 3 s: MP3 files of a minute, decoded whole
    encode_image  JPEG covers of 600 x 600 pixels
    encode_text   titles and short comments of 3 to 12 words, half English, half Chinese, all different

The peer of each is the rate that the encoder must reach.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from benchmarks.result import Result
from tests.support.training.media import music, picture, write_audio
from training.content.encoders.audio import MAX_PATCHES, AudioEncoder
from training.content.encoders.encoder import Encoder
from training.content.encoders.image import ImageEncoder
from training.content.encoders.text import TextEncoder

TARGETS = {"encode_audio": 40.0, "encode_image": 30.0, "encode_text": 1_000.0}
BATCH_SIZE = 64
TRIES = 3
AUDIO_SECONDS = 62
WORDS = {
    "English": ("calm", "night", "rain", "summer", "love", "dance", "blue", "heart", "fire", "gold", "river", "moon"),
    "Chinese": ("夜晚", "下雨", "夏天", "爱情", "跳舞", "蓝色", "月亮", "星星", "城市", "海洋", "钢琴", "安静"),
}


def audio(patches: int) -> Result:
    """Return patches per second; the number is rounded up to whole files."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_audio(Path(folder) / "music.mp3", music(AUDIO_SECONDS))
        files = -(-patches // MAX_PATCHES)
        return _measure("encode_audio", "patches/s", AudioEncoder(), [path] * files, files * MAX_PATCHES)


def image(images: int) -> Result:
    """Return images per second."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cover.jpg"
        picture((600, 600)).save(path, quality=90)
        return _measure("encode_image", "images/s", ImageEncoder(), [path] * images, images)


def text(texts: int) -> Result:
    """Return texts per second."""
    draw = random.Random(0)
    languages = list(WORDS.values())
    sources = [
        f"{' '.join(draw.choices(languages[number % 2], k=draw.randint(3, 12)))} {number}" for number in range(texts)
    ]
    return _measure("encode_text", "texts/s", TextEncoder(), sources, texts)


def _measure(name: str, unit: str, encoder: Encoder[Any, Any], sources: Sequence[Any], amount: int) -> Result:
    def encode_all() -> None:
        for start in range(0, len(sources), BATCH_SIZE):
            encoder.encode([encoder.load(source) for source in sources[start : start + BATCH_SIZE]])

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            encoder.encode([encoder.load(sources[0])])  # loads what is loaded on first use
            seconds = min(_cpu_seconds(encode_all) for _ in range(TRIES))
    finally:
        torch.set_num_threads(threads)
    return Result.from_values(name, unit, amount / seconds, "target", TARGETS[name])


def _cpu_seconds(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
