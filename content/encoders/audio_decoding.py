"""Audio files as patches of 16 kHz mono, within fixed bounds of memory and time.

Decoded by FFmpeg (PyAV) with demuxers and decoders limited to FORMATS and CODECS: its other ones read playlists and
open further files. At most MAX_DECODED_SECONDS of a file are decoded. Legend: P patches, S samples.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from content.encoders.encoder import MediaError, check_extension, open_media
from content.encoders.musicnn import PATCH_SAMPLES, PATCH_STRIDE, SAMPLE_RATE, WINDOW
from media.audio_container import open_container

FORMATS = {
    "mp3": (".mp3",),
    "flac": (".flac",),
    "ogg": (".ogg", ".oga", ".opus"),
    "mov": (".m4a", ".mp4"),
    "wav": (".wav",),
    "aiff": (".aif", ".aiff"),
}
"""Names of FFmpeg's demuxers and the extensions that go with each."""
CODECS = (
    *("mp3float", "mp3", "flac", "vorbis", "opus", "libopus", "aac", "alac"),
    *("pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"),
    *("pcm_s16be", "pcm_s24be", "pcm_s32be"),
)
MIN_RATE, MAX_RATE = 4_000, 384_000  # Hz
MAX_CHANNELS = 8
MAX_DECODED_SECONDS = 600
MAX_PATCHES = 20  # a minute of audio, which bounds the time and the memory that a file takes
MAX_AMPLITUDE = 8.0  # decoded floats may exceed full scale, but not by more than 18 dB
MIN_AMPLITUDE = 1e-12  # below any sample format; the power of such samples is too small for fast arithmetic
MISSING_SECONDS, MISSING_SHARE = 1.0, 0.05
"""Seconds and share by which the audio may be shorter than declared: some lengths are estimated from a bit rate."""

Samples = NDArray[np.float32]


def read_patches(path: Path) -> Samples:
    """At most MAX_PATCHES patches, evenly spaced over the first MAX_DECODED_SECONDS of the file, [P, PATCH_SAMPLES].

    Audio that is shorter than a patch is repeated.

    Raises:
        MediaError: the file is not readable as audio, incomplete, or of a format that is not in FORMATS.
    """
    with open_media(path) as file:
        _check_is_whole(path, file)
        is_estimated = path.suffix.lower() == ".mp3" and not _has_length_header(file)
        with open_container(file, FORMATS, CODECS) as container:
            stream, seconds = _select_stream(path, container)
            patch_PS = _spread_patches(_decode(path, container.demux(stream), None if is_estimated else seconds))
    if not np.isfinite(patch_PS).all():
        raise MediaError(path, "the audio has samples that are not finite numbers")
    patch_PS[np.abs(patch_PS) < MIN_AMPLITUDE] = 0
    return patch_PS.clip(-MAX_AMPLITUDE, MAX_AMPLITUDE)


def _select_stream(path: Path, container: av.container.InputContainer) -> tuple[av.AudioStream, float | None]:
    """The audio stream, and its declared length in seconds."""
    detected = container.format.name
    demuxer = detected.split(",")[0]  # "mov,mp4,m4a,..."
    check_extension(path, detected, FORMATS.get(demuxer, ()))
    if not container.streams.audio:
        raise MediaError(path, "the file has no audio stream")
    stream = container.streams.audio[0]
    # FFmpeg's option limits what it decodes to find out about a stream; this limits what is decoded afterwards.
    if stream.codec_context is None or stream.codec_context.name not in CODECS:
        raise MediaError(path, f"the codec is not supported; use one of {', '.join(CODECS)}")
    if not MIN_RATE <= stream.rate <= MAX_RATE or not 1 <= stream.channels <= MAX_CHANNELS:
        limits = f"{MIN_RATE} to {MAX_RATE} Hz and {MAX_CHANNELS} channels are supported"
        raise MediaError(path, f"{stream.rate} Hz with {stream.channels} channels; {limits}")
    if stream.duration is not None and stream.time_base is not None:
        return stream, float(stream.duration * stream.time_base)
    return stream, container.duration / av.time_base if container.duration else None


def _decode(path: Path, packets: Iterator[av.Packet[av.AudioStream]], declared_seconds: float | None) -> Samples:
    """All samples, at most MAX_DECODED_SECONDS."""
    parts, count = [], 0
    for part in _resample(_frames(packets)):
        parts.append(part)
        count += len(part)
        if count >= MAX_DECODED_SECONDS * SAMPLE_RATE:
            break
    if not count:
        raise MediaError(path, "no audio could be decoded")
    seconds, declared = count / SAMPLE_RATE, min(declared_seconds or 0.0, MAX_DECODED_SECONDS)
    if seconds < declared - max(MISSING_SECONDS, MISSING_SHARE * declared):
        raise MediaError(path, f"truncated: audio ends at {seconds:.1f} s of {declared_seconds:.1f} s")
    return np.concatenate(parts)[: MAX_DECODED_SECONDS * SAMPLE_RATE]


def _spread_patches(sample_S: Samples) -> Samples:
    # As in librosa, frames are centered on multiples of HOP and reflect the audio at both ends.
    sample_S = np.pad(sample_S, WINDOW // 2, mode="reflect")
    if len(sample_S) < PATCH_SAMPLES:
        return np.resize(sample_S[WINDOW // 2 : -WINDOW // 2], (1, PATCH_SAMPLES))  # repeats
    patches = 1 + (len(sample_S) - PATCH_SAMPLES) // PATCH_STRIDE
    starts = np.linspace(0, patches - 1, min(patches, MAX_PATCHES)).round().astype(int) * PATCH_STRIDE
    return np.stack([sample_S[start : start + PATCH_SAMPLES] for start in starts])


def _frames(packets: Iterator[av.Packet[av.AudioStream]]) -> Iterator[av.AudioFrame]:
    """Decoded frames from the present position on; packets that cannot be decoded are left out."""
    for packet in packets:
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue  # what is missing in the end is checked by the caller
        yield from (frame for frame in frames if isinstance(frame, av.AudioFrame))


def _resample(frames: Iterator[av.AudioFrame]) -> Iterator[Samples]:
    """The samples as 16 kHz mono."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    for frame in chain(frames, [None]):
        yield from (resampled.to_ndarray()[0] for resampled in resampler.resample(frame))


def _check_is_whole(path: Path, file: BinaryIO) -> None:
    """Reject truncated WAV and Ogg files, whose length FFmpeg takes from what is there."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(12)
    if head[:4] == b"RIFF" and len(head) == 12:
        declared = struct.unpack("<I", head[4:8])[0] + 8
        is_known = declared not in {8, (1 << 32) + 7}  # streams are written with 0 or the maximum
        if is_known and declared > size + 1:  # the padding of an odd length is often missing
            raise MediaError(path, f"truncated: {size} of {declared} bytes")
    if head[:4] == b"OggS":
        file.seek(max(size - 2 * 65_307, 0))  # a page has at most 65,307 bytes
        tail = file.read()
        page = tail[tail.rfind(b"OggS") :]
        segments = page[27 : 27 + page[26]] if len(page) > 27 else b""
        is_last = len(page) > 27 and bool(page[5] & 4)
        if not is_last or len(page) < 27 + page[26] + sum(segments):
            raise MediaError(path, "truncated: the last page of the Ogg stream is missing")
    file.seek(0)


def _has_length_header(file: BinaryIO) -> bool:
    """Whether the first frame of an MP3 file has the length; otherwise FFmpeg estimates it from the frame's bit rate."""
    head = file.read(10)
    if head[:3] == b"ID3" and len(head) == 10:
        size = sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        file.seek(10 + size)
    else:
        file.seek(0)
    frame = file.read(256)
    file.seek(0)
    return any(name in frame for name in (b"Xing", b"Info", b"VBRI"))
