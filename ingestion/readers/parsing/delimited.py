"""Streams a CSV or TSV file as text columns with line numbers, and collects the lines that are not rows.

Removes the lines of a delimited file that its parser would not read as one row each, and keeps the line numbers.

A parser that finds an opening quote without a closing one reads the following lines as part of the field, so a single
stray quote could hide thousands of rows. Such lines, and lines above `MAX_LINE_BYTES`, never reach the parser.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from ingestion.source_files import MAX_LINE_BYTES, READ_ERRORS, Member, SourceError

BLOCK_BYTES = 8 << 20


KEPT_BYTES = 1_000  # of a line that is too long
REPLACEMENT = "\ufffd".encode()
_FIELD = rb'(?:"(?:[^"]++|"")*+"[^,]*+|[^",][^,]*+|)'
CLOSED_QUOTES = re.compile(rb"%b(?:,%b)*+" % (_FIELD, _FIELD))


def read_header(member: Member, delimiter: str) -> list[str]:
    """The column names of the first line; empty if there is none."""
    first = re.split(rb"[\r\n]", member.peek(), maxsplit=1)[0].decode("utf-8", "replace").strip()
    if not first:
        return []
    return next(csv.reader([first])) if delimiter == "," else first.split(delimiter)


def stream_blocks(
    member: Member,
    delimiter: str,
    columns: list[str],
    report_progress: Callable[[int], object],
    headerless_columns: list[str] | None = None,
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield blocks of (rows, broken lines); together they are all non-empty lines of the file.

    Invalid UTF-8 bytes and NUL bytes become U+FFFD; tab-separated files have no quoting. A line is broken if it has a wrong number of
    fields, an opening quote without a closing one, or more than `MAX_LINE_BYTES`.

    Args:
        member: The file.
        delimiter: "," or a tab.
        columns: Columns to read.
        report_progress: Called with the number of bytes read.
        headerless_columns: Names of all columns of a file without a header line.

    Yields:
        rows: `columns` as text and `source_line` (from 1).
        broken lines: `raw`, `reason` and `source_line`.

    Raises:
        SourceError: The file is damaged, or lacks one of `columns`.
    """
    names = headerless_columns or read_header(member, delimiter)
    if missing := [column for column in columns if column not in names]:
        raise SourceError(
            f"{member.name} has no column {', '.join(missing)} in its first line ({', '.join(names)[:200] or 'empty'}); "
            f"add a header with {', '.join(columns)}"
        )
    if repeated := sorted({column for column in columns if names.count(column) > 1}):
        raise SourceError(f"{member.name} has more than one column {', '.join(repeated)}; rename the others")
    invalid: dict[int, RejectedLine] = {}  # by row, from 1, of the lines that the filter passes on

    def collect_invalid(row: pa_csv.InvalidRow) -> str:
        reason = f"{row.actual_columns} fields where the header has {len(names)}"
        invalid[row.number] = RejectedLine(row.number, row.text or "", reason)
        return "skip"

    line = 0
    try:
        with member.open(report_progress) as raw:
            lines = LineFilter(raw, has_quotes=delimiter == ",", has_header=headerless_columns is None)
            numbers, rows_before = np.empty(0, np.int64), 0
            for batch in _batches(lines, delimiter, names, columns, collect_invalid):
                numbers = np.concatenate([numbers, lines.take_numbers()])
                # The parser may be ahead of the batch, so rows and broken lines are matched by their numbers.
                rows = np.arange(rows_before + 1, rows_before + 1 + batch.num_rows + len(invalid))
                rows = rows[~np.isin(rows, list(invalid))][: batch.num_rows]
                last = int(rows[-1]) if len(rows) else rows_before
                past = [invalid.pop(number) for number in sorted(invalid) if number <= last]
                yield _frame(batch, numbers, rows - rows_before), _broken(past, numbers, rows_before, lines)
                line = int(numbers[last - rows_before - 1]) if last > rows_before else line
                numbers, rows_before = numbers[last - rows_before :], last
            numbers = np.concatenate([numbers, lines.take_numbers()])
            no_rows = pl.DataFrame(schema={**dict.fromkeys(columns, pl.String), "source_line": pl.Int64})
            yield no_rows, _broken([invalid[number] for number in sorted(invalid)], numbers, rows_before, lines)
    except (*READ_ERRORS, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0][:200]
        raise SourceError(f"{member.name} is damaged after line {line:,} ({reason}); get the file again") from error
    if rows_before + len(invalid) != lines.passed:
        raise SourceError(
            f"{member.name}: {lines.passed - rows_before - len(invalid):,} of {lines.passed:,} lines were not read; "
            "look for quotes and line breaks within fields"
        )


def _batches(
    lines: LineFilter,
    delimiter: str,
    names: list[str],
    columns: list[str],
    collect_invalid: Callable[[pa_csv.InvalidRow], str],
) -> Iterator[pa.RecordBatch]:
    try:
        reader = pa_csv.open_csv(
            pa.PythonFile(lines, mode="r"),
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=names),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if delimiter == "," else False,
                invalid_row_handler=collect_invalid,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                include_columns=columns,
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        if lines.passed == 0:
            return  # Arrow rejects an empty file
        raise
    yield from reader


def _frame(batch: pa.RecordBatch, numbers: NDArray[np.int64], rows: NDArray[np.int64]) -> pl.DataFrame:
    frame = pl.DataFrame(pa.Table.from_batches([batch]))
    return frame.with_columns(source_line=pl.Series(numbers[rows - 1], dtype=pl.Int64))


def _broken(
    invalid: list[RejectedLine], numbers: NDArray[np.int64], rows_before: int, lines: LineFilter
) -> pl.DataFrame:
    """Lines that the parser rejected, whose number is a row of the parser, and those that the filter rejected."""
    filtered = lines.take_rejected()
    return pl.DataFrame(
        {
            "source_line": [
                *(int(numbers[row.number - rows_before - 1]) for row in invalid),
                *(row.number for row in filtered),
            ],
            "raw": [row.text for row in [*invalid, *filtered]],
            "reason": [row.reason for row in [*invalid, *filtered]],
        },
        schema={"source_line": pl.Int64, "raw": pl.String, "reason": pl.String},
    )


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
