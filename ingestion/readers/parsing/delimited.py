"""Reads a CSV or TSV file in blocks of text columns with line numbers, and collects the lines that are not rows.

Each line is parsed on its own: fields have no line breaks, so a stray quote does not hide the lines after it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator

import polars as pl

from ingestion.readers.parsing.json_rows import KEPT_CHARACTERS, TOO_LONG, TOO_LONG_REASON, raw_lines, read_line_blocks
from ingestion.source_files import MAX_LINE_BYTES, Member, SourceError

_FIELD = '(?:"(?:[^"]++|"")*+"[^,]*+|[^",][^,]*+|)'
CLOSED_QUOTES = re.compile(f"{_FIELD}(?:,{_FIELD})*+")

csv.field_size_limit(MAX_LINE_BYTES)


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

    Invalid UTF-8 bytes and NUL bytes become U+FFFD; only comma-separated files have quoting. A line is broken if it has a wrong
    number of fields, an opening quote without a closing one, or more than `MAX_LINE_BYTES`.

    Args:
        member: The file.
        delimiter: "," or another character, usually a tab.
        columns: Columns to read.
        report_progress: Called with the number of bytes read.
        headerless_columns: Names of all columns of a file without a header line.

    Yields:
        rows: `columns` as text, `source_line` (from 1) and `source_file`.
        broken lines: `raw`, `reason`, `source_line` and `source_file`.

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
    with member.open(report_progress) as stream:
        for block in read_line_blocks(stream, member.name, None):
            lines = raw_lines(block).with_columns(source_file=pl.lit(member.name))
            if headerless_columns is None:
                lines = lines.filter(pl.col("source_line") > 1)
            yield _parse(lines, delimiter, names, columns)


def _parse(
    lines: pl.DataFrame, delimiter: str, names: list[str], columns: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows and the broken lines of a block."""
    raw = pl.col("raw")
    lines = lines.with_columns(raw.str.replace_all("\0", "\ufffd", literal=True))
    fields = raw.str.split(delimiter)
    is_quoted = raw.str.contains('"', literal=True) & (delimiter == ",")
    if lines.select(is_quoted.any()).item():
        fields = pl.when(is_quoted).then(raw.map_elements(_split_quoted, pl.List(pl.String))).otherwise(fields)
    split = lines.with_columns(fields=fields).with_columns(
        reason=pl.when(raw.str.ends_with(TOO_LONG) & (raw.str.len_chars() > KEPT_CHARACTERS))
        .then(pl.lit(TOO_LONG_REASON))
        .when(pl.col("fields").is_null())
        .then(pl.lit("a quoted field is not closed"))
        .when(pl.col("fields").list.len() != len(names))
        .then(pl.format(f"{{}} fields where the header has {len(names)}", pl.col("fields").list.len()))
    )
    is_row = pl.col("reason").is_null()
    texts = [pl.col("fields").list.get(names.index(column)).alias(column) for column in columns]
    broken = split.filter(~is_row)
    return split.filter(is_row).select(*texts, "source_line", "source_file"), broken.select(
        "source_line", "source_file", raw.str.strip_suffix(TOO_LONG), "reason"
    )


def _split_quoted(text: str) -> list[str] | None:
    """The fields of a line; None if an opening quote has no closing one."""
    return next(csv.reader([text])) if CLOSED_QUOTES.fullmatch(text) else None
