"""Streams a CSV or TSV file as text columns with line numbers and collects lines with a wrong number of fields."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from ingestion.sources import READ_ERRORS, Member, SourceError

BLOCK_BYTES = 8 << 20


def read_header(member: Member, delimiter: str) -> list[str]:
    """The column names of the first line; empty if there is none."""
    first = member.peek().split(b"\n", 1)[0].decode("utf-8-sig", "replace").strip()
    return first.split(delimiter) if first else []


def stream_blocks(
    member: Member,
    delimiter: str,
    columns: list[str],
    report_progress: Callable[[int], object],
    headerless_columns: list[str] | None = None,
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield blocks of (rows, broken lines). Invalid UTF-8 bytes become U+FFFD; tab-separated files have no quoting.

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
        SourceError: The file is damaged, empty, or lacks one of `columns`.
    """
    names = headerless_columns or read_header(member, delimiter)
    if missing := [column for column in columns if column not in names]:
        raise SourceError(
            f"{member.name} has no column {', '.join(missing)} in its first line ({', '.join(names)[:200] or 'empty'}); "
            f"add a header with {', '.join(columns)}"
        )
    invalid: list[tuple[int | None, str, int]] = []

    def collect_invalid(row: pa_csv.InvalidRow) -> str:
        invalid.append((row.number, row.text or "", row.actual_columns))
        return "skip"

    try:
        with member.open(report_progress) as raw:
            reader = pa_csv.open_csv(
                pa.PythonFile(_Utf8Stream(raw), mode="r"),
                read_options=pa_csv.ReadOptions(
                    use_threads=False, block_size=BLOCK_BYTES, column_names=headerless_columns
                ),
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
            next_line = 1 if headerless_columns else 2
            for batch in reader:
                broken = [(line, text, fields) for line, text, fields in invalid if line is not None]
                invalid.clear()
                lines = np.arange(next_line, next_line + batch.num_rows + len(broken), dtype=np.int64)
                lines = lines[~np.isin(lines, [line for line, _, _ in broken])]
                next_line += batch.num_rows + len(broken)
                yield _frame(batch, lines), _broken(broken, len(names))
            if invalid:
                yield pl.DataFrame(), _broken([(line or 0, text, fields) for line, text, fields in invalid], len(names))
    except (*READ_ERRORS, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0][:200]
        raise SourceError(f"{member.name} is damaged ({reason}); get the file again") from error


def _frame(batch: pa.RecordBatch, lines: np.ndarray) -> pl.DataFrame:
    frame = pl.DataFrame(pa.Table.from_batches([batch]))
    return frame.with_columns(source_line=pl.Series(lines[: frame.height]))


def _broken(rows: list[tuple[int, str, int]], expected: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "source_line": [line for line, _, _ in rows],
            "raw": [text for _, text, _ in rows],
            "reason": [f"{fields} fields where the header has {expected}" for _, _, fields in rows],
        },
        schema={"source_line": pl.Int64, "raw": pl.String, "reason": pl.String},
    )


class _Utf8Stream(io.RawIOBase):
    """Byte stream with invalid UTF-8 replaced by U+FFFD and without a byte-order mark."""

    def __init__(self, raw: io.IOBase | object) -> None:
        self._raw = raw
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while True:
            data: bytes = self._raw.read(size)  # type: ignore[union-attr]
            text = self._decoder.decode(data, final=not data)
            if text or not data:
                return text.encode()
