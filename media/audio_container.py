"""Audio files opened by FFmpeg within bounds of memory.

A small file may declare a table of 90 million samples, and a sparse one holds covers of gigabytes; FFmpeg keeps both in
memory before the first sample is decoded.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import IO

import av

MAX_ALLOCATION = 128 << 20
"""Bytes of one block of memory: the index of 3 million samples, 20 hours of AAC at 44.1 kHz."""
MAX_STREAMS = 16  # each has an index; covers and chapters are streams too
MAX_HEADER_BYTES = 96 << 20  # read to open a file: its tags, covers and tables
TIMEOUT_SECONDS = 30  # for opening a file and for each read, in FFmpeg


class HeaderTooLargeError(Exception):
    """A file has more tags, covers or tables than are read."""


@contextmanager
def open_container(
    file: IO[bytes], formats: Iterable[str], codecs: Iterable[str]
) -> Iterator[av.container.InputContainer]:
    """The open container.

    Args:
        file: An audio file.
        formats: Names of the demuxers that may read it; other ones open further files.
        codecs: Names of the decoders that may decode it.

    Raises:
        HeaderTooLargeError: The file has too many tags, covers or tables.
        av.FFmpegError: It is damaged.
    """
    _limit_allocations()
    options = {
        "format_whitelist": ",".join(formats),
        "codec_whitelist": ",".join(codecs),
        "max_streams": str(MAX_STREAMS),
    }
    header = BoundedFile(file, MAX_HEADER_BYTES)
    with av.open(header, "r", options=options, metadata_errors="ignore", timeout=TIMEOUT_SECONDS) as container:
        header.is_bounded = False
        yield container


class BoundedFile:
    """A file of which at most `limit` bytes can be read while `is_bounded`, because a tag may declare any length."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file, self._limit, self._bytes, self.is_bounded = file, limit, 0, True

    def read(self, size: int = -1) -> bytes:
        """The next bytes.

        Raises:
            HeaderTooLargeError: They are beyond the limit.
        """
        if not self.is_bounded:
            return self._file.read(size)
        data = self._file.read(size if 0 <= size <= self._limit else self._limit + 1)
        self._bytes += len(data)
        if self._bytes > self._limit:
            raise HeaderTooLargeError(f"the tags and tables have more than {self._limit >> 20} MB")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position."""
        return self._file.tell()


@cache
def _limit_allocations() -> None:
    """Set FFmpeg's limit for this process, which PyAV has no function for."""
    # FFmpeg's libraries are dependencies of this module, so their functions are found by its handle.
    set_limit = ctypes.CDLL(av.container.core.__file__).av_max_alloc
    set_limit.argtypes, set_limit.restype = [ctypes.c_size_t], None
    set_limit(MAX_ALLOCATION)
