"""Text files line by line, in blocks of a bounded number of lines. Knows nothing about what a line says."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from typing import IO

import pyarrow as pa

from ingestion import sources
from ingestion.sources import SourceError

LINES_PER_BLOCK = 100_000
READ_ERRORS = (*sources.READ_ERRORS, lzma.LZMAError, pa.ArrowInvalid)
"""What a truncated or broken file raises while it is read."""


def read_line_blocks(stream: IO[bytes], name: str) -> Iterator[list[tuple[int, str]]]:
    """(line number from 1, text) of every line that is not empty; bytes that are not UTF-8 become U+FFFD.

    Raises:
        SourceError: the file `name` is damaged.
    """
    lines: list[tuple[int, str]] = []
    try:
        for number, line in enumerate(stream, start=1):
            text = line.decode("utf-8", "replace").strip()
            if text:
                lines.append((number, text))
            if len(lines) == LINES_PER_BLOCK:
                yield lines
                lines = []
    except READ_ERRORS as error:
        raise SourceError(f"{name} is damaged ({error}); get the file again") from error
    if lines:
        yield lines
