"""Removes the lines of a delimited file that its parser would not read as one row each, and keeps the line numbers.

A parser that finds an opening quote without a closing one reads the following lines as part of the field, so a single
stray quote could hide thousands of rows. Such lines, and lines above `MAX_LINE_BYTES`, never reach the parser.
"""

from __future__ import annotations

import codecs
import io
import re
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ingestion.source_files import MAX_LINE_BYTES

KEPT_BYTES = 1_000  # of a line that is too long
REPLACEMENT = "\ufffd".encode()
_FIELD = rb'(?:"(?:[^"]++|"")*+"[^,]*+|[^",][^,]*+|)'
CLOSED_QUOTES = re.compile(rb"%b(?:,%b)*+" % (_FIELD, _FIELD))


@dataclass(frozen=True)
class RejectedLine:
    """A line that cannot be parsed."""

    number: int  # from 1
    text: str
    reason: str


class LineFilter(io.RawIOBase):
    """Byte stream of the complete, parsable, non-empty lines of a file, each of which ends with a line feed.

    Invalid UTF-8 bytes and NUL bytes become U+FFFD, a byte-order mark is removed.

    Args:
        raw: The file.
        has_quotes: Whether fields may be quoted, with "," as delimiter. Fields never contain line breaks.
        has_header: Whether the first line is not a row.
    """

    def __init__(self, raw: IO[bytes], has_quotes: bool, has_header: bool) -> None:
        self._raw, self._has_quotes, self._has_header = raw, has_quotes, has_header
        self._begun = b""  # line of which only the beginning was read
        self._lines_read = 0
        self._numbers: list[NDArray[np.int64]] = []
        self._rejected: list[RejectedLine] = []
        self.passed = 0
        """Number of lines that were passed on."""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """The next lines, about `size` bytes; empty at the end of the file. A line ends with LF, CR LF or CR."""
        while block := self._read_lines(size):
            if self._lines_read == 0:
                block = block.removeprefix(codecs.BOM_UTF8)
            # Arrow's parser may join a line with a NUL byte to the next one.
            block = block.replace(b"\0", REPLACEMENT)
            if not block.isascii():
                block = block.decode("utf-8", "replace").encode()
            if b"\r" in block:
                block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            if lines := self._filter(block if block.endswith(b"\n") else block + b"\n"):
                return lines
        return b""

    def take_numbers(self) -> NDArray[np.int64]:
        """Numbers (from 1) of the lines that were passed on since the last call."""
        numbers, self._numbers = self._numbers, []
        return np.concatenate(numbers) if numbers else np.empty(0, np.int64)

    def take_rejected(self) -> list[RejectedLine]:
        """Lines that were rejected since the last call."""
        rejected, self._rejected = self._rejected, []
        return rejected

    def _read_lines(self, size: int) -> bytes:
        """The next complete lines, which end with LF, CR LF or CR. Of a line that is too long, the end is missing."""
        block, self._begun = self._begun, b""
        while more := self._raw.read(size):
            block += more
            end = block.rfind(b"\n") + 1
            end = block.rfind(b"\r", end, len(block) - 1) + 1 or end  # a last CR may be half of a CR LF
            if end:
                self._begun = block[end:]
                return block[:end]
            if len(block) > MAX_LINE_BYTES:
                block = block[: MAX_LINE_BYTES + 1] + block[-1:]
        return block

    def _filter(self, block: bytes) -> bytes:
        first = self._lines_read + 1
        if self._has_header and first == 1:
            self._lines_read += 1
            _, _, block = block.partition(b"\n")
            return self._filter(block) if block else b""
        may_be_invalid = (
            block.startswith(b"\n") or b"\n\n" in block or (self._has_quotes and b'"' in block) or _has_long_line(block)
        )
        if may_be_invalid:
            return self._filter_lines(block.split(b"\n")[:-1], first)
        self._pass(np.arange(first, first + block.count(b"\n"), dtype=np.int64))
        self._lines_read = first - 1 + len(self._numbers[-1])
        return block

    def _filter_lines(self, lines: list[bytes], first: int) -> bytes:
        passed, numbers = [], []
        for number, line in enumerate(lines, start=first):
            if len(line) > MAX_LINE_BYTES:
                self._reject(number, line[:KEPT_BYTES], f"the line is longer than {MAX_LINE_BYTES >> 20} MB")
            elif self._has_quotes and b'"' in line and not CLOSED_QUOTES.fullmatch(line):
                self._reject(number, line, "a quoted field is not closed")
            elif line:
                passed.append(line)
                numbers.append(number)
        self._lines_read += len(lines)
        self._pass(np.array(numbers, np.int64))
        return b"".join(line + b"\n" for line in passed)

    def _pass(self, numbers: NDArray[np.int64]) -> None:
        self._numbers.append(numbers)
        self.passed += len(numbers)

    def _reject(self, number: int, line: bytes, reason: str) -> None:
        self._rejected.append(RejectedLine(number, line.decode("utf-8", "replace"), reason))


def _has_long_line(block: bytes) -> bool:
    start = 0
    while len(block) - start > MAX_LINE_BYTES:
        end = block.rfind(b"\n", start, start + MAX_LINE_BYTES + 1)
        if end < 0:
            return True
        start = end + 1
    return False
