"""Reads Parquet files of any schema as rows of a contract table, so that a column of a wrong type rejects rows, not the file."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.readers.parsing.json_rows import to_text
from ingestion.source_files import MAX_LINE_BYTES

BATCH_BYTES = 32 << 20
TOO_LONG = f"the row is longer than {MAX_LINE_BYTES >> 20} MB"
Rejected = dict[int, str]
"""Row of a block, from 0, to the reason of its rejection."""


def read_blocks(file: pq.ParquetFile, contract_columns: list[str], block_rows: int) -> Iterator[pl.DataFrame]:
    """Yield rows in blocks: the contract's columns that the file has, and `reason` of rows that have an unreadable value.

    Args:
        file: An opened file.
        contract_columns: Columns of the contract table; others are not read.
        block_rows: Maximum number of rows of a block.
    """
    names = [name for name in file.schema_arrow.names if name in contract_columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    stored = sum(file.metadata.row_group(group).total_byte_size for group in range(file.metadata.num_row_groups))
    rows = max(1, min(block_rows, BATCH_BYTES * file.metadata.num_rows // max(stored, 1)))
    for batch in file.iter_batches(rows, columns=names):
        rejected: Rejected = {}
        series = []
        for name in dict.fromkeys(names):
            column, problems = _read_column(name, batch.column(batch.schema.names.index(name)))
            rejected = problems | rejected  # keep the first reason
            series.append(column)
        if repeated:
            reason = f"the file has more than one column {', '.join(repeated)}"
            rejected = dict.fromkeys(range(batch.num_rows), reason)
        reasons = [rejected.get(row) for row in range(batch.num_rows)] if rejected else [None] * batch.num_rows
        yield _reject_long_rows(pl.DataFrame([*series, pl.Series("reason", reasons, pl.String)]))


def _reject_long_rows(block: pl.DataFrame) -> pl.DataFrame:
    sizes = block.select(
        cs.string().str.len_bytes(),
        cs.by_dtype(pl.List(pl.String)).list.eval(pl.element().str.len_bytes()).list.sum(),
    )
    is_too_long = sizes.sum_horizontal() > MAX_LINE_BYTES
    if not is_too_long.any():
        return block
    without_values = block.with_columns(pl.when(~is_too_long).then(pl.all()))
    return without_values.with_columns(reason=pl.when(is_too_long).then(pl.lit(TOO_LONG)).otherwise("reason"))


def _read_column(name: str, array: pa.Array) -> tuple[pl.Series, Rejected]:
    """A column in a type that `row_validation.conform` accepts; unreadable values are null, with the reason."""
    declared = array.type
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_float16(array.type) or pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    elif pa.types.is_timestamp(array.type):
        array = array.cast(pa.timestamp(array.type.unit, "UTC"))  # the instant is the same in every time zone
    elif pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.large_list(array.type.value_type))
    elif _is_text(array.type) or pa.types.is_fixed_size_binary(array.type):
        return _read_texts(name, array)
    if _is_readable(array.type) and _is_valid(array):
        return pl.Series(name, array), {}
    reason = f"{name} has the Parquet type {declared}, which is not a type of the data contract"
    has_value = array.is_valid().to_pylist()
    return pl.Series(name, [None] * len(array), pl.String), {row: reason for row, has in enumerate(has_value) if has}


def _read_texts(name: str, array: pa.Array) -> tuple[pl.Series, Rejected]:
    if pa.types.is_string(array.type) and _is_valid(array):
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


def _is_text(data_type: pa.DataType) -> bool:
    """Whether values are texts, or bytes of any length that may be texts."""
    return bool(
        pa.types.is_string(data_type)
        or pa.types.is_large_string(data_type)
        or pa.types.is_string_view(data_type)
        or pa.types.is_binary(data_type)
        or pa.types.is_large_binary(data_type)
    )


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
