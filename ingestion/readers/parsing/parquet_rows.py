"""Reads Parquet files of any schema as rows of a contract table, so that a column of a wrong type rejects rows, not the file."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.readers.parsing.json_rows import to_text
from ingestion.readers.parsing.parquet_batches import is_list, is_text, open_file, read_batches
from ingestion.readers.parsing.reader import ReadContext
from ingestion.source_files import MAX_LINE_BYTES, Member, SourceError

BLOCK_ROWS = 100_000
RESERVED_COLUMNS = ("source_file", "source_line", "reason", "raw")
"""Columns that readers add to the rows."""

TOO_LONG = f"the row is longer than {MAX_LINE_BYTES >> 20} MB"
Rejected = dict[int, str]
"""Row of a block, from 0, to the reason of its rejection."""


def read_file(
    member: Member, columns: list[str], context: ReadContext, required: Sequence[str] = ()
) -> Iterator[pl.DataFrame]:
    """Yield rows in blocks of bounded size: the columns that can be read, `source_file`, `source_line` (from 1), and `reason` of
    rows that have an unreadable value.

    Args:
        member: The file.
        columns: Columns that are needed; unreadable values of other ones are dropped.
        context: Receives the progress.
        required: Columns that the file must have.

    Raises:
        SourceError: The file is damaged, or lacks a column.
    """
    line = 1
    try:
        with member.opener() as opened:
            file = open_file(opened if member.max_bytes is None else io.BytesIO(member.read()))
            if missing := [name for name in required if name not in file.schema_arrow.names]:
                raise SourceError(f"{member.name} has no column {', '.join(missing)}; get the file again")
            for rows in _read_blocks(file, columns):
                numbers = pl.int_range(line, line + rows.height, dtype=pl.Int64)
                yield rows.with_columns(source_line=numbers, source_file=pl.lit(member.name))
                line += rows.height
                context.report_progress(member.size * rows.height // max(file.metadata.num_rows, 1))
    except (OSError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0][:200]
        raise SourceError(f"{member.name} is damaged after row {line - 1:,} ({reason}); get the file again") from error


def _read_blocks(file: pq.ParquetFile, contract_columns: list[str]) -> Iterator[pl.DataFrame]:
    names = file.schema_arrow.names
    repeated = sorted({name for name in names if names.count(name) > 1 and name in contract_columns})
    first = {name: number for number, name in reversed(list(enumerate(names))) if name not in RESERVED_COLUMNS}
    types = file.schema.to_arrow_schema().types  # with texts where the file is read with dictionaries
    read = [name for name, number in first.items() if name in contract_columns or _may_be_readable(types[number])]
    for batch, is_too_long in read_batches(file, read, BLOCK_ROWS):
        if is_too_long:
            yield pl.DataFrame({**dict.fromkeys(set(read).intersection(contract_columns)), "reason": [TOO_LONG]})
            continue
        rejected: Rejected = {}
        series = []
        for name, number in sorted(first.items(), key=lambda item: item[1]):
            if name not in read:
                continue
            column, problems = _read_column(name, batch.column(batch.schema.names.index(name)), types[number])
            if name in contract_columns:
                rejected = problems | rejected  # keep the first reason
                series.append(column)
            elif not problems:
                series.append(column)
        if repeated:
            reason = f"the file has more than one column {', '.join(repeated)}"
            rejected = dict.fromkeys(range(batch.num_rows), reason)
        reasons = [rejected.get(row) for row in range(batch.num_rows)] if rejected else [None] * batch.num_rows
        yield pl.DataFrame([*series, pl.Series("reason", reasons, pl.String)])


def _read_column(name: str, array: pa.Array, declared: pa.DataType) -> tuple[pl.Series, Rejected]:
    """A column in a type that `row_validation.conform` accepts; unreadable values are null, with the reason."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if is_list(array.type):
        array = _plain_list(array)
    if pa.types.is_float16(array.type):
        array = array.cast(pa.float32())
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.timestamp(array.type.unit, "UTC"))  # the instant is the same in every time zone
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    if is_text(array.type) or pa.types.is_fixed_size_binary(array.type):
        return _read_texts(name, array)
    if _is_readable(array.type) and _is_valid(array):
        return pl.Series(name, array), {}
    reason = f"{name} has the Parquet type {declared}, which is not a type of the data contract"
    return pl.Series(name, [None] * len(array), pl.String), dict.fromkeys(_rows_with_values(array), reason)


def _plain_list(array: pa.Array) -> pa.Array:
    """The lists as type `large_list`, with texts in place of dictionaries."""
    items = pc.list_flatten(array)
    if pa.types.is_dictionary(items.type):
        items = items.dictionary_decode()
    ends = np.cumsum(pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int64)
    return pa.LargeListArray.from_arrays(pa.array(np.concatenate([[0], ends])), items, mask=array.is_null())


def _read_texts(name: str, array: pa.Array) -> tuple[pl.Series, Rejected]:
    if _is_string(array.type) and _is_valid(array):
        return pl.Series(name, array), {}
    binary = array.cast(pa.large_binary()) if not pa.types.is_large_binary(array.type) else array
    texts: list[str | None] = []
    problems: Rejected = {}
    for row, value in enumerate(binary.to_pylist()):
        try:
            texts.append(None if value is None else value.decode("utf-8"))
        except UnicodeDecodeError:
            texts.append(None)
            problems[row] = f"{name} {to_text(value[:80].decode('utf-8', 'backslashreplace'))} is not UTF-8"
    return pl.Series(name, texts, pl.String), problems


def _is_valid(array: pa.Array) -> bool:
    """Whether the values satisfy their type; Parquet files may declare bytes as text that are not UTF-8."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _rows_with_values(array: pa.Array) -> list[int]:
    return [row for row, is_valid in enumerate(array.is_valid().to_pylist()) if is_valid]


def _is_string(data_type: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(data_type) or pa.types.is_large_string(data_type) or pa.types.is_string_view(data_type)
    )


def _may_be_readable(data_type: pa.DataType) -> bool:
    """Whether the values of a type that a file declares may become readable."""
    item = data_type.value_type if is_list(data_type) else data_type
    return not pa.types.is_nested(item)


def _is_readable(data_type: pa.DataType) -> bool:
    """Whether values of a type may be converted to a type of the contract."""
    if pa.types.is_list(data_type) or pa.types.is_large_list(data_type):
        item = data_type.value_type
        return _is_string(item) or pa.types.is_integer(item) or pa.types.is_floating(item)
    return bool(
        pa.types.is_null(data_type)
        or pa.types.is_boolean(data_type)
        or pa.types.is_integer(data_type)
        or pa.types.is_floating(data_type)
        or pa.types.is_timestamp(data_type)
        or pa.types.is_date(data_type)
    )
