"""Audio files as patches of 16 kHz mono, within fixed bounds of memory and time.

Decoded by FFmpeg (PyAV) with demuxers and decoders limited to FORMATS and CODECS: its other ones read playlists and
open further files. At most MAX_DECODED_SECONDS of a file are decoded. Legend: P patches, S samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

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

Samples = NDArray[np.float32]


def read_patches(path: Path) -> Samples:
    """At most MAX_PATCHES patches, evenly spaced over the first MAX_DECODED_SECONDS of the file, [P, PATCH_SAMPLES].

    Audio that is shorter than a patch is repeated. Of a file that was cut off, what is there is read.

    Raises:
        MediaError: the file is not readable as audio, or of a format that is not in FORMATS.
    """
    with open_media(path) as file, open_container(file, FORMATS, CODECS) as container:
        sample_S = _decode(container, _select_stream(path, container))
        if not len(sample_S):
            raise MediaError(path, "no audio could be decoded")
        patch_PS = _spread_patches(sample_S)
    if not np.isfinite(patch_PS).all():
        raise MediaError(path, "the audio has samples that are not finite numbers")
    patch_PS[np.abs(patch_PS) < MIN_AMPLITUDE] = 0
    return patch_PS.clip(-MAX_AMPLITUDE, MAX_AMPLITUDE)


def _select_stream(path: Path, container: av.container.InputContainer) -> av.AudioStream:
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
    return stream


def _decode(container: av.container.InputContainer, stream: av.AudioStream) -> Samples:
    """All samples, at most MAX_DECODED_SECONDS."""
    parts, count = [np.zeros(0, dtype=np.float32)], 0
    for part in _resample(_frames(container, stream)):
        parts.append(part)
        count += len(part)
        if count >= MAX_DECODED_SECONDS * SAMPLE_RATE:
            break
    return np.concatenate(parts)[: MAX_DECODED_SECONDS * SAMPLE_RATE]


def _spread_patches(sample_S: Samples) -> Samples:
    # As in librosa, frames are centered on multiples of HOP and reflect the audio at both ends.
    sample_S = np.pad(sample_S, WINDOW // 2, mode="reflect")
    if len(sample_S) < PATCH_SAMPLES:
        return np.resize(sample_S[WINDOW // 2 : -WINDOW // 2], (1, PATCH_SAMPLES))  # repeats
    patches = 1 + (len(sample_S) - PATCH_SAMPLES) // PATCH_STRIDE
    starts = np.linspace(0, patches - 1, min(patches, MAX_PATCHES)).round().astype(int) * PATCH_STRIDE
    return np.stack([sample_S[start : start + PATCH_SAMPLES] for start in starts])


def _frames(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """Decoded frames; packets that cannot be decoded are left out."""
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue
        yield from (frame for frame in frames if isinstance(frame, av.AudioFrame))


def _resample(frames: Iterator[av.AudioFrame]) -> Iterator[Samples]:
    """The samples as 16 kHz mono."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    for frame in chain(frames, [None]):
        yield from (resampled.to_ndarray()[0] for resampled in resampler.resample(frame))
