"""Streams a CSV or TSV file as text columns with line numbers, and collects the lines that are not rows."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from ingestion.readers.parsing.line_filter import LineFilter, RejectedLine
from ingestion.source_files import READ_ERRORS, Member, SourceError

BLOCK_BYTES = 8 << 20


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
