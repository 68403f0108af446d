"""Streams a CSV or TSV file as text columns, with line numbers, and keeps lines that have the wrong number of fields."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from ingestion.sources import READ_ERRORS, Member, SourceError

BLOCK = 8 << 20


def read_header(member: Member, delimiter: str) -> list[str]:
    """The column names of the first line; empty if there is none."""
    first = member.peek().split(b"\n", 1)[0].decode("utf-8-sig", "replace").strip()
    return first.split(delimiter) if first else []


def stream_blocks(
    member: Member,
    delimiter: str,
    columns: list[str],
    watch: Callable[[int], object],
    headerless_columns: list[str] | None = None,
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Blocks of (rows, broken): `rows` has the columns as text and `source_line`; `broken` has `raw, reason, source_line`.

    `without_header` names all columns of a file that begins with a row. Fields are not quoted in tab-separated files. Bytes
    that are not UTF-8 become U+FFFD.

    Raises:
        SourceError: the file is damaged, empty, or lacks one of `columns`.
    """
    names = headerless_columns or read_header(member, delimiter)
    if lacking := [column for column in columns if column not in names]:
        raise SourceError(
            f"{member.name} has no column {', '.join(lacking)} in its first line ({', '.join(names)[:200] or 'empty'}); "
            f"add a header with {', '.join(columns)}"
        )
    bad: list[tuple[int | None, str, int]] = []

    def keep(row: pa_csv.InvalidRow) -> str:
        bad.append((row.number, row.text or "", row.actual_columns))
        return "skip"

    try:
        with member.open(watch) as raw:
            reader = pa_csv.open_csv(
                pa.PythonFile(_Utf8Stream(raw), mode="r"),
                read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=headerless_columns),
                parse_options=pa_csv.ParseOptions(
                    delimiter=delimiter, quote_char='"' if delimiter == "," else False, invalid_row_handler=keep
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types={name: pa.string() for name in names},
                    include_columns=columns,
                    strings_can_be_null=False,
                ),
            )
            next_line = 1 if headerless_columns else 2
            for batch in reader:
                broken = [(line, text, fields) for line, text, fields in bad if line is not None]
                bad.clear()
                lines = np.arange(next_line, next_line + batch.num_rows + len(broken), dtype=np.int64)
                lines = lines[~np.isin(lines, [line for line, _, _ in broken])]
                next_line += batch.num_rows + len(broken)
                yield _frame(batch, lines), _broken(broken, len(names))
            if bad:
                yield pl.DataFrame(), _broken([(line or 0, text, fields) for line, text, fields in bad], len(names))
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
    """A byte stream in which everything that is not UTF-8 has become U+FFFD, and a byte-order mark is gone."""

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
