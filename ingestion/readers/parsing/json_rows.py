"""Reads text in blocks of lines, and converts JSON objects to rows of a contract table.

Values keep loose types, which `row_validation.conform` converts to the types of the contract.
"""

from __future__ import annotations

import io
import json
import lzma
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import IO, Any

import polars as pl
import pyarrow as pa

from ingestion import landed_tables, source_files
from ingestion.readers.parsing.reader import Rows
from ingestion.source_files import MAX_LINE_BYTES, Member, SourceError

LINES_PER_BLOCK = 100_000
MAX_NUMBER = 3.4e38  # of a vector, whose elements have 32 bits
KEPT_CHARACTERS = 1_000  # of a line that is too long
TOO_LONG = f"… (longer than {MAX_LINE_BYTES >> 20} MB)"
TOO_LONG_REASON = f"the line is longer than {MAX_LINE_BYTES >> 20} MB"
SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
NOT_UNICODE = "the row has an unpaired surrogate (such as \\ud800), which is not valid Unicode"
READ_ERRORS = (*source_files.READ_ERRORS, lzma.LZMAError, pa.ArrowInvalid)
"""Exceptions that reading a truncated or damaged file raises."""

Block = list[tuple[int, str]]
"""Lines with their numbers, from 1."""


def read_line_blocks(stream: IO[bytes], name: str, newline: str | None = "\n") -> Iterator[Block]:
    """Yield the non-empty lines as (line number from 1, text) in blocks.

    A line ends with `newline`, or with LF, CR LF or CR if that is None. Invalid UTF-8 bytes become U+FFFD, a byte-order mark
    is removed. Of a line above `MAX_LINE_BYTES` only the beginning is kept, followed by `TOO_LONG`, so that it is not JSON.

    Raises:
        SourceError: The file `name` is damaged; the message names the last line that was read.
    """
    lines: Block = []
    number = 0
    try:
        reader = io.TextIOWrapper(stream, "utf-8-sig", "replace", newline)
        for number, line in enumerate(iter(partial(reader.readline, MAX_LINE_BYTES + 1), ""), start=1):
            text = line.rstrip("\r\n")
            if len(line) > MAX_LINE_BYTES:
                text = text[:KEPT_CHARACTERS] + TOO_LONG
                while line and not line.endswith("\n"):
                    line = reader.readline(MAX_LINE_BYTES)  # noqa: PLW2901
            if not text.isspace() and text:
                lines.append((number, text))
            if len(lines) == LINES_PER_BLOCK:
                yield lines
                lines = []
    except READ_ERRORS as error:
        raise SourceError(f"{name} is damaged after line {number:,} ({error}); get the file again") from error
    if lines:
        yield lines


def read_file(member: Member, report_progress: Callable[[int], object]) -> Iterator[Block]:
    """The blocks of lines of a file, see `read_line_blocks`."""
    with member.open(report_progress) as stream:
        yield from read_line_blocks(stream, member.name)


def raw_lines(block: Block) -> pl.DataFrame:
    """Lines as `source_line` and `raw`."""
    return pl.DataFrame(block, {"source_line": pl.Int64, "raw": pl.String}, orient="row")


def parse_object(text: str) -> tuple[dict[str, Any], str | None]:
    """The JSON object of a line, or an empty object and the reason why the line is not one."""
    try:
        row = json.loads(text)
    except ValueError:
        is_too_long = text.endswith(TOO_LONG)
        return {}, TOO_LONG_REASON if is_too_long else "the line is not JSON"
    except RecursionError:
        return {}, "the line is nested too deeply"
    if not isinstance(row, dict):
        return {}, "the line is not a JSON object"
    if "\\u" in text and SURROGATE_ESCAPE.search(text) and has_unpaired_surrogate(row):
        return {}, NOT_UNICODE
    return row, None


def has_unpaired_surrogate(row: Any) -> bool:
    """Whether a text of the row cannot be encoded as UTF-8."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return True
    return False


def to_text(value: Any) -> str:
    """JSON of a value for messages and for the raw text of quarantined rows; never fails."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace").decode()
    except RecursionError:
        return "(nested too deeply)"


def to_frame(table: str, objects: Sequence[Mapping[str, Any]], reasons: Sequence[str | None]) -> pl.DataFrame:
    """One row per object: the contract columns as text (lists as lists) and the rejection `reason`.

    Args:
        table: Contract table.
        objects: JSON objects.
        reasons: Known rejection reason of each object, or None.
    """
    series, all_reasons = [], list(reasons)
    for field in landed_tables.source_schema(table):
        values = [row.get(field.name) for row in objects]
        if pa.types.is_list(field.type) or not set(map(type, values)) <= {str, type(None)}:
            parsed = [_parse_value(value, field) for value in values]
            values = [value for value, _ in parsed]
            all_reasons = [reason or problem for reason, (_, problem) in zip(all_reasons, parsed, strict=True)]
        series.append(pl.Series(field.name, values, _loose_type(field.type)))
    return pl.DataFrame(series).with_columns(pl.Series("reason", all_reasons, pl.String))


def to_rows(table: str, block: Block, parsed: Iterable[tuple[Mapping[str, Any], str | None]], source_file: str) -> Rows:
    """Rows of lines that were parsed to objects, or to the reason why a line is none."""
    objects, reasons = zip(*parsed, strict=True)
    frame = pl.concat([to_frame(table, objects, reasons), raw_lines(block)], how="horizontal")
    unparsable = len(reasons) - reasons.count(None)
    return Rows(table, frame.with_columns(source_file=pl.lit(source_file)), unparsable=unparsable)


def _parse_value(value: Any, field: pa.Field) -> tuple[Any, str | None]:
    """Text or a list from a value of JSON, or the problem with the value."""
    if value is None:
        return None, None
    if not pa.types.is_list(field.type):
        if isinstance(value, dict | list):
            return None, f"{field.name} is not a single value"
        # `str` is faster, and equal for these types.
        return str(value) if type(value) in (str, int) else json.dumps(value), None
    if not isinstance(value, list) or any(isinstance(item, dict | list) or item is None for item in value):
        return None, f"{field.name} is not a list of values"
    if pa.types.is_string(field.type.value_type):
        return [str(item) for item in value], None
    if not all(isinstance(item, int | float) and abs(item) <= MAX_NUMBER for item in value):
        return None, f"{field.name} is not a list of numbers"
    return [float(item) for item in value], None


def _loose_type(arrow_type: pa.DataType) -> pl.DataType:
    if not pa.types.is_list(arrow_type):
        return pl.String()
    return pl.List(pl.String) if pa.types.is_string(arrow_type.value_type) else pl.List(pl.Float32)
