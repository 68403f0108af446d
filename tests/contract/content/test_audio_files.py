"""The audio encoder on all kinds of audio; `test_encoder_conformance.py` has formats and damaged files."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from mutagen.id3 import APIC, ID3
from numpy.typing import NDArray

from config import settings
from content.encoders import audio_decoding
from content.encoders.audio import AudioEncoder
from content.encoders.audio_decoding import read_patches
from content.encoders.encoder import MediaError
from content.encoders.musicnn import PATCH_SAMPLES
from tests.support.training.media import (
    cosine,
    encode_file,
    music,
    png_of_size,
    write_audio,
)

SECONDS = 4
CLIP = settings.ROOT.parent / "shared" / "data" / "audio" / "joram-moments_of_clarity-08-solipsism-59-88.mp3"


@pytest.fixture(scope="module")
def reference(audio_encoder: AudioEncoder, files: dict[str, Path]) -> NDArray[np.float32]:
    """The vector of the music without compression."""
    return encode_file(audio_encoder, files[".wav"])


def wav_header(rate: int, bits: int, samples: int) -> bytes:
    size = samples * bits // 8
    return b"RIFF" + struct.pack(
        "<I4s4sIHHIIHH4sI",
        36 + size,
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        rate,
        rate * bits // 8,
        bits // 8,
        bits,
        b"data",
        size,
    )


@pytest.mark.skipif(not CLIP.exists(), reason="no audio clips in ../shared")
def test_published_tags_of_the_example_clip(audio_encoder: AudioEncoder) -> None:
    """The ten most probable tags that the authors of the network print for their example, in their order."""
    _, probability_BT = audio_encoder.encode_with_tags([audio_encoder.load(CLIP)])
    best = [audio_encoder.tags[tag] for tag in (-probability_BT[0]).argsort()[:10]]
    assert best == [
        "techno",
        "electronic",
        "synth",
        "fast",
        "beat",
        "drums",
        "no vocals",
        "no vocal",
        "dance",
        "ambient",
    ]


@pytest.mark.parametrize(
    ("rate", "channels", "codec", "sample_format", "least"),
    [
        (8_000, 1, "pcm_s16le", "s16", 0.9),
        (11_025, 2, "pcm_s16le", "s16", 0.9),
        (22_050, 1, "pcm_s16le", "s16", 0.98),
        (48_000, 1, "pcm_s16le", "s16", 0.98),
        (96_000, 2, "pcm_s16le", "s16", 0.98),
        (192_000, 1, "pcm_s16le", "s16", 0.98),
        (48_000, 2, "pcm_u8", "u8", 0.95),
        (48_000, 2, "pcm_s24le", "s32", 0.999),
        (48_000, 2, "pcm_s32le", "s32", 0.999),
        (48_000, 2, "pcm_f32le", "flt", 0.999),
    ],
)
def test_rate_channels_and_sample_format_hardly_change_the_vector(
    rate: int,
    channels: int,
    codec: str,
    sample_format: str,
    least: float,
    audio_encoder: AudioEncoder,
    reference: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    path = write_audio(tmp_path / "music.wav", music(SECONDS, rate, channels), rate, codec, sample_format)
    assert cosine(encode_file(audio_encoder, path), reference) > least


@pytest.mark.parametrize("seconds", [0.01, 0.2, 2.9])
def test_short_audio_is_repeated(seconds: float, audio_encoder: AudioEncoder, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "short.wav", music(seconds, 48_000), 48_000)
    assert read_patches(path).shape == (1, PATCH_SAMPLES)
    encode_file(audio_encoder, path)


def test_long_audio_is_read_at_its_beginning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    audio = music(12.5, 48_000)
    monkeypatch.setattr(audio_decoding, "MAX_DECODED_SECONDS", 7)
    first, whole = (
        read_patches(write_audio(tmp_path / f"{seconds}.wav", audio[:, : seconds * 48_000], 48_000))
        for seconds in (7, 12)
    )
    np.testing.assert_allclose(whole[:-1], first[:-1], atol=1e-6)
    assert len(whole) == len(first)


def test_an_mp3_file_of_variable_bit_rate_without_a_length_is_encoded(tmp_path: Path) -> None:
    """FFmpeg estimates its length from the first frame, which is small because the beginning is silent."""
    rate, path = 44_100, tmp_path / "quiet.mp3"
    noise = 0.3 * np.random.default_rng(0).standard_normal(8 * rate).clip(-1, 1)
    sample_S = np.concatenate([np.zeros(5 * rate), noise]).astype(np.float32)
    with av.open(str(path), "w", options={"write_xing": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=rate, layout="mono")
        stream.codec_context.options = {"flags": "+qscale", "global_quality": "236"}
        for start in range(0, len(sample_S), 1_152):
            frame = av.AudioFrame.from_ndarray(sample_S[None, start : start + 1_152], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert container.duration > 20 * av.time_base
    assert len(read_patches(path)) == 4


SOUND_CS = music(1, 16_000, 1)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        pytest.param("file.mp3", lambda path: path.touch(), "", id="empty"),
        pytest.param("file.mp3", lambda path: path.write_text("only text " * 100), "", id="text"),
        pytest.param(
            "file.mp3",
            lambda path: path.write_text(
                "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/hostname\n#EXT-X-ENDLIST\n"
            ),
            "",
            id="playlist",
        ),
        pytest.param(
            "file.flac",
            lambda path: path.write_text("ffconcat version 1.0\nfile /etc/hostname\n"),
            "",
            id="concat script",
        ),
        pytest.param("file.ogg", lambda path: path.write_bytes(bytes(range(256)) * 400), "", id="noise"),
        pytest.param(
            "file.wav", lambda path: path.write_bytes(wav_header(1, 16, 100) + bytes(200)), "", id="one hertz"
        ),
        pytest.param("file.wav", lambda path: path.write_bytes(wav_header(16_000, 16, 0)), "", id="no samples"),
        pytest.param(
            "file.mp3",
            lambda path: write_audio(path.with_suffix(".flac"), SOUND_CS, 16_000).rename(path),
            r"the content is flac, the name has \.mp3; rename the file",
            id="wrong extension",
        ),
        pytest.param(
            "file.wav",
            lambda path: write_audio(path, SOUND_CS, 16_000, "adpcm_ms"),
            "the codec is not supported; use one of mp3float",
            id="codec",
        ),
        pytest.param(
            "file.wav",
            lambda path: write_audio(path, SOUND_CS * np.nan, 16_000, "pcm_f32le", "flt"),
            "not finite",
            id="not numbers",
        ),
    ],
)
def test_what_is_no_music_is_rejected(name: str, write: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    with pytest.raises(MediaError, match=rf"file\.\w+: .*{message}") as caught:
        read_patches(tmp_path / name)
    assert caught.value.path == tmp_path / name


def test_covers_inside_of_audio_files_are_ignored(files: dict[str, Path], tmp_path: Path) -> None:
    """An ID3 tag with a picture that says it has 900 million pixels."""
    path = shutil.copy(files[".mp3"], tmp_path / "music.mp3")
    tags = ID3(path)
    tags.add(APIC(mime="image/png", type=3, data=png_of_size(30_000, 30_000)))
    tags.save(path)
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["audio", "video"]
    np.testing.assert_array_equal(read_patches(Path(path)), read_patches(files[".mp3"]))


def test_a_file_without_an_end_is_rejected(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp3")
    for path in (tmp_path / "pipe.mp3", Path("/dev/zero")):
        with pytest.raises(MediaError):
            read_patches(path)
