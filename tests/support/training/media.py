"""Audio and image files for the tests of encoders, generated when they are needed."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from content.encoders.encoder import Encoder

AUDIO_CODECS = {
    ".wav": "pcm_s16le",
    ".flac": "flac",
    ".mp3": "libmp3lame",
    ".ogg": "vorbis",
    ".opus": "libopus",
    ".m4a": "aac",
    ".aiff": "pcm_s16be",
}
IMAGE_SUFFIXES = (".jpg", ".png", ".webp", ".gif", ".bmp")


def music(seconds: float, rate: int = 44_100, channels: int = 2) -> NDArray[np.float32]:
    """A melody with a beat and noise, [channels, samples] in [-1, 1]; the same at every rate, up to its bandwidth."""
    time = np.arange(round(seconds * rate)) / rate
    beat = np.exp(-8 * (2 * time % 1))
    pitch = 220 * 2 ** (np.array([0, 4, 7, 12])[(2 * time).astype(int) % 4] / 12)
    melody = sum(np.sin(2 * np.pi * harmonic * pitch * time) / harmonic for harmonic in (1, 2, 3))
    drum = np.sin(2 * np.pi * 60 * time) * beat
    return np.tile((0.2 * melody + 0.4 * drum).astype(np.float32), (channels, 1))


def write_audio(
    path: Path,
    sample_CS: NDArray[np.float32],
    rate: int = 44_100,
    codec: str | None = None,
    sample_format: str | None = None,
) -> Path:
    """Encode samples as the format of the file's extension."""
    layout = {1: "mono", 2: "stereo"}[len(sample_CS)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec or AUDIO_CODECS[path.suffix], rate=rate, options={"strict": "experimental"})
        stream.layout = layout
        if sample_format:
            stream.format = sample_format
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sample_CS), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(stream.format, layout, rate, frame_size=stream.frame_size or 4_096)
        for resampled in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
    return path


def encode_file(encoder: Encoder[Path, Any], path: Path) -> NDArray[np.float32]:
    """The vector of a file."""
    vector_D: NDArray[np.float32] = encoder.encode([encoder.load(path)])[0]
    assert np.isfinite(vector_D).all()
    return vector_D


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def picture(size: tuple[int, int] = (320, 320)) -> Image.Image:
    """A red disk on a gradient of blue."""
    x, y = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]))
    disk = x**2 + y**2 < 0.4
    color_HWC = np.stack([disk * 220, disk * 30, 120 + 100 * y], axis=-1)
    return Image.fromarray(color_HWC.clip(0, 255).astype(np.uint8))


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that says it has that size, with little content."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1_000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def declare_samples(m4a: bytes, samples: int) -> bytes:
    """An M4A file whose table says that it has so many samples of one byte, all in its first chunk."""
    content = bytearray(m4a)
    sizes, chunks = content.find(b"stsz"), content.find(b"stsc")
    struct.pack_into(">II", content, sizes + 8, 1, samples)
    struct.pack_into(">IIII", content, chunks + 8, 1, 1, samples, 1)
    return bytes(content)


def write_flac_with_covers(path: Path, flac: bytes, covers: int) -> Path:
    """A FLAC file with covers of 16 MB each, which take no space on the disk."""
    size = (1 << 24) - 1
    stream_info = flac[5:42]
    with path.open("wb") as file:
        file.write(flac[:4] + b"\0" + stream_info)
        for _ in range(covers):
            head = struct.pack(">II9sIIIIII", 3, 9, b"image/png", 0, 10, 10, 24, 0, size - 41)
            file.write(b"\x06" + size.to_bytes(3, "big") + head + b"\x89PNG\r\n\x1a\n")
            file.seek(size - 49, 1)
        file.write(flac[42:])
    return path
