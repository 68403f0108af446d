"""Frames of ID3 tags whose compressed content is bounded, because a few kilobytes may unpack to gigabytes."""

from __future__ import annotations

import zlib
from contextlib import suppress
from typing import Any

import mutagen
from mutagen.id3 import Frame, Frames, Frames_2_2
from mutagen.id3._util import unsynch

MAX_UNPACKED_BYTES = 20 << 20
"""Limit of the compressed content of all frames of a file; it is larger than `audio_tags.MAX_COVER_BYTES`."""
BLOCK_BYTES = 1 << 20


class _BoundedFrame:
    """A frame that is unpacked only if the tag stays within the limit."""

    @classmethod
    def _fromData(cls, header: Any, flags: int, data: bytes) -> Any:
        # The header belongs to one file; frames within a chapter have the same one.
        header.unpacked_bytes = getattr(header, "unpacked_bytes", 0) + max(
            map(_unpacked_size, _compressed_texts(header, flags, data)), default=0
        )
        if header.unpacked_bytes > MAX_UNPACKED_BYTES:
            raise mutagen.MutagenError(
                f"compressed frames up to {cls.__name__} unpack to more than {MAX_UNPACKED_BYTES >> 20} MB"
            )
        return super()._fromData(header, flags, data)  # type: ignore[misc] # of the mutagen class beside this one


def _compressed_texts(header: Any, flags: int, data: bytes) -> list[bytes]:
    """What mutagen may decompress of a frame."""
    if header.version < header._V24:
        return [data[4:]] if flags & Frame.FLAG23_COMPRESS else []
    if not flags & Frame.FLAG24_COMPRESS:
        return []
    content = data[4:]
    if flags & Frame.FLAG24_UNSYNCH or header.f_unsynch:
        with suppress(ValueError):
            content = unsynch.decode(content)
    return [content, data[:4] + content]  # some programs wrote no length before the content


def _unpacked_size(content: bytes) -> int:
    """Size of decompressed content, or of what precedes damage; counted to just above the limit."""
    decompressor, size = zlib.decompressobj(), 0
    with suppress(zlib.error):
        while size <= MAX_UNPACKED_BYTES and (block := decompressor.decompress(content, BLOCK_BYTES)):
            size, content = size + len(block), decompressor.unconsumed_tail
    return size


FRAMES = {
    **Frames_2_2,  # version 2.2 has no compression
    **{name: type(name, (_BoundedFrame, frame), {}) for name, frame in Frames.items()},
}
"""Frame id to class, as `known_frames` of mutagen's readers."""
