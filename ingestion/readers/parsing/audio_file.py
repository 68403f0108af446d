"""Identity, length and tags of an audio file, within bounds of memory and without decoding the audio.

A track's id is a hash of its encoded audio without tags and container, so it survives moving the file and editing its
tags. Another encoding of the same recording is another id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import IO

import av

from ingestion.readers.parsing.audio_tags import AudioTags, read_tags
from media.audio_container import BoundedFile, open_container

FORMATS = {
    ".mp3": "mp3",
    ".flac": "flac",
    ".ogg": "ogg",
    ".oga": "ogg",
    ".opus": "ogg",
    ".m4a": "mov",
}
"""Extension to FFmpeg's name of the container format; others, which open further files, are not allowed."""
CODECS = ("mp3float", "mp3", "flac", "vorbis", "opus", "libopus", "aac", "alac")
MAX_FILE_BYTES = 4 << 30
MAX_TAG_BYTES = 64 << 20  # read by the tag reader from one file; covers are part of it
MAX_HASHED_PACKETS = 20_000  # 6 to 30 minutes; tracks with this many equal packets and of equal length are the same


class AudioFileError(Exception):
    """A file is not a track; the message is the reason for the quarantine."""


@dataclass(frozen=True)
class AudioFile:
    """What landing needs to know of an audio file."""

    audio_id: str
    duration_ms: int | None  # None: unknown
    tags: AudioTags


def read_audio_file(name: str, size: int, opener: Callable[[], IO[bytes]]) -> AudioFile:
    """Read a file of one of FORMATS.

    Raises:
        AudioFileError: The file is too large, cannot be opened, is damaged, or is not of the format of its extension.
    """
    if size > MAX_FILE_BYTES:
        raise AudioFileError(f"{size} bytes; audio files have at most {MAX_FILE_BYTES}")
    if not size:
        raise AudioFileError("the file is empty")
    extension = PurePosixPath(name).suffix.lower()
    try:
        with opener() as file:
            audio_id, duration_ms = _read_stream(file, extension)
        with opener() as file:
            return AudioFile(audio_id, duration_ms, read_tags(BoundedFile(file, MAX_TAG_BYTES), extension))
    except AudioFileError:
        raise
    except Exception as error:
        # Damaged files make the libraries raise many types; one file must not stop a landing.
        reason = getattr(error, "strerror", None) or error
        raise AudioFileError(f"the file is not readable as audio: {type(error).__name__}: {reason}") from error


def _read_stream(file: IO[bytes], extension: str) -> tuple[str, int | None]:
    """Hash of the encoded audio, and its length in milliseconds."""
    with open_container(file, sorted(set(FORMATS.values())), CODECS) as container:
        detected = container.format.name
        if detected.split(",")[0] != FORMATS[extension]:
            raise AudioFileError(f"the content is {detected}, the extension {extension}; rename the file")
        if not container.streams.audio:
            raise AudioFileError("the file has no audio stream")
        stream = container.streams.audio[0]
        seconds = container.duration / av.time_base if container.duration else None
        if stream.duration is not None and stream.time_base is not None:
            seconds = float(stream.duration * stream.time_base)
        content, packets, last = hashlib.sha256(), 0, b""
        for packet in islice(container.demux(stream), MAX_HASHED_PACKETS):
            # The last packet is left out: tags at the end of an MP3 file would be part of it.
            content.update(last)
            packets, last = packets + bool(packet.size), bytes(packet)
        if not packets:
            raise AudioFileError("the file has no audio")
        return content.hexdigest()[:32], round(1_000 * seconds) if seconds and seconds > 0 else None
