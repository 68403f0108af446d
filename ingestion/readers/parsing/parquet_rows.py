"""Reads Parquet files of any schema as rows of a contract table, so that a column of a wrong type rejects rows, not the file."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.readers.parsing.json_rows import to_text

RESERVED_COLUMNS = ("source_file", "source_line", "reason", "raw")
"""Columns that readers add to the rows."""

Rejected = dict[int, str]
"""Row of a block, from 0, to the reason of its rejection."""


def read_blocks(file: pq.ParquetFile, contract_columns: list[str], block_rows: int) -> Iterator[pl.DataFrame]:
    """Yield rows in blocks: all columns that can be read, and `reason` of rows that have an unreadable value.

    Args:
        file: An open file.
        contract_columns: Columns of the contract table; unreadable values of other columns are dropped.
        block_rows: Maximum number of rows of a block.
    """
    names = file.schema_arrow.names
    repeated = sorted({name for name in names if names.count(name) > 1 and name in contract_columns})
    first = {name: number for number, name in reversed(list(enumerate(names))) if name not in RESERVED_COLUMNS}
    for batch in file.iter_batches(block_rows):
        rejected: Rejected = {}
        series = []
        for name, number in sorted(first.items(), key=lambda item: item[1]):
            column, problems = _read_column(name, batch.column(number))
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


def _read_column(name: str, array: pa.Array) -> tuple[pl.Series, Rejected]:
    """A column in a type that `validation.conform` accepts; unreadable values are null, with the reason."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_fixed_size_list(array.type) or _is_list_view(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    if pa.types.is_float16(array.type):
        array = array.cast(pa.float32())
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.timestamp(array.type.unit, "UTC"))  # the instant is the same in every time zone
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    if _is_text(array.type) or _is_binary(array.type):
        return _read_texts(name, array)
    if _is_readable(array.type) and _is_valid(array):
        return pl.Series(name, array), {}
    reason = f"{name} has the Parquet type {array.type}, which is not a type of the data contract"
    return pl.Series(name, [None] * len(array), pl.String), dict.fromkeys(_rows_with_values(array), reason)


def _read_texts(name: str, array: pa.Array) -> tuple[pl.Series, Rejected]:
    if _is_text(array.type) and _is_valid(array):
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


def _is_text(data_type: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(data_type) or pa.types.is_large_string(data_type) or pa.types.is_string_view(data_type)
    )


def _is_binary(data_type: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(data_type)
        or pa.types.is_large_binary(data_type)
        or pa.types.is_fixed_size_binary(data_type)
        or pa.types.is_binary_view(data_type)
    )


def _is_list_view(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_list_view(data_type) or pa.types.is_large_list_view(data_type))


def _is_readable(data_type: pa.DataType) -> bool:
    """Whether values of a type may be converted to a type of the contract."""
    if pa.types.is_list(data_type) or pa.types.is_large_list(data_type):
        item = data_type.value_type
        return _is_text(item) or pa.types.is_integer(item) or pa.types.is_floating(item)
    return bool(
        pa.types.is_null(data_type)
        or pa.types.is_boolean(data_type)
        or pa.types.is_integer(data_type)
        or pa.types.is_floating(data_type)
        or pa.types.is_timestamp(data_type)
        or pa.types.is_date(data_type)
    )
