"""Reads the columns of a contract table from Parquet files of any schema: a column of a wrong type rejects rows, not the file.

They are read in batches of bounded size, because a value that is stored once may stand in any number of rows.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.readers.parsing.reader import ReadContext
from ingestion.source_files import MAX_LINE_BYTES, Member, SourceError

BATCH_BYTES = 32 << 20
VALUE_BYTES = 8  # of a number, or of the place of a text in its dictionary

BLOCK_ROWS = 100_000
TOO_LONG = f"the row is longer than {MAX_LINE_BYTES >> 20} MB"


def open_file(source: IO[bytes]) -> pq.ParquetFile:
    """Open a file for `read_batches`: texts are read as dictionaries, as they are stored, where Arrow can."""
    file = pq.ParquetFile(source)
    return pq.ParquetFile(source, metadata=file.metadata, read_dictionary=sorted(_dictionary_paths(file)))


def read_batches(file: pq.ParquetFile, columns: list[str], max_rows: int) -> Iterator[tuple[pa.RecordBatch, bool]]:
    """Yield batches of rows; a row whose texts have more than `MAX_LINE_BYTES` is a batch of its own.

    Args:
        file: From `open_file`.
        columns: Names of the columns; all of a name are read.
        max_rows: Maximum number of rows of a batch.

    Yields:
        The batch, with texts as dictionaries, and whether it is such a row.
    """
    for batch in file.iter_batches(_batch_rows(file, columns, max_rows), columns=columns):
        size_R = sum((_text_sizes(column) for column in batch.columns), np.zeros(batch.num_rows, np.int64))
        begin = 0
        for end in _ends(size_R):
            yield batch.slice(begin, end - begin), bool(size_R[begin] > MAX_LINE_BYTES)
            begin = end


def is_text(data_type: pa.DataType) -> bool:
    """Whether values are texts, or bytes of any length that may be texts."""
    return bool(
        pa.types.is_string(data_type)
        or pa.types.is_large_string(data_type)
        or pa.types.is_string_view(data_type)
        or pa.types.is_binary(data_type)
        or pa.types.is_large_binary(data_type)
        or pa.types.is_binary_view(data_type)
    )


def is_list(data_type: pa.DataType) -> bool:
    """Whether values are lists of any kind."""
    return bool(
        pa.types.is_list(data_type)
        or pa.types.is_large_list(data_type)
        or pa.types.is_fixed_size_list(data_type)
        or pa.types.is_list_view(data_type)
        or pa.types.is_large_list_view(data_type)
    )


def _dictionary_paths(file: pq.ParquetFile) -> set[str]:
    """Paths of the texts, alone or in lists, that are read as dictionaries."""
    chunks = [
        file.metadata.row_group(group).column(column)
        for group in range(file.metadata.num_row_groups)
        for column in range(file.metadata.num_columns)
    ]
    # Arrow reads these encodings as texts only.
    others = {chunk.path_in_schema for chunk in chunks if any(name.startswith("DELTA") for name in chunk.encodings)}
    columns = [file.schema.column(number) for number in range(file.metadata.num_columns)]
    texts = {
        column.path
        for column in columns
        if column.physical_type == "BYTE_ARRAY" and column.logical_type.type != "DECIMAL"
    }
    return texts - others


def _batch_rows(file: pq.ParquetFile, columns: list[str], max_rows: int) -> int:
    """Number of rows that certainly stay below the size of a batch, apart from texts of dictionaries."""
    dictionaries, largest = _dictionary_paths(file), 1
    for group in (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)):
        row_bytes = 0
        for number in range(file.metadata.num_columns):
            chunk, column = group.column(number), file.schema.column(number)
            if column.path.split(".")[0] not in columns:
                continue
            size = column.length if column.physical_type == "FIXED_LEN_BYTE_ARRAY" else VALUE_BYTES
            if column.physical_type == "BYTE_ARRAY" and column.path not in dictionaries:
                size = chunk.total_uncompressed_size  # each value may be as long as all that is stored
            row_bytes += size * -(-chunk.num_values // max(group.num_rows, 1))
        largest = max(largest, row_bytes)
    return max(1, min(max_rows, BATCH_BYTES // largest))


def _text_sizes(array: pa.Array) -> np.ndarray:
    """Bytes of the texts of each row."""
    if is_list(array.type):
        parents, sizes = pc.list_parent_indices(array).to_numpy(), _text_sizes(pc.list_flatten(array))
        return np.bincount(parents, sizes, minlength=len(array)).astype(np.int64)
    if pa.types.is_dictionary(array.type) and is_text(array.type.value_type):
        sizes = pc.binary_length(array.dictionary).take(array.indices)
    elif is_text(array.type) and not (pa.types.is_string_view(array.type) or pa.types.is_binary_view(array.type)):
        sizes = pc.binary_length(array)
    else:
        return np.zeros(len(array), np.int64)
    return np.asarray(sizes.fill_null(0), np.int64)


def _ends(size_R: np.ndarray) -> list[int]:
    """Where batches end: when they reach the size, and before and after rows that are too long."""
    is_too_long_R = size_R > MAX_LINE_BYTES
    batch_R = np.where(is_too_long_R, 0, size_R).cumsum() // BATCH_BYTES
    is_end_R = (np.diff(batch_R) > 0) | is_too_long_R[1:] | is_too_long_R[:-1]
    return [*(np.flatnonzero(is_end_R) + 1).tolist(), len(size_R)]


def read_file(
    member: Member, columns: list[str], context: ReadContext, required: Sequence[str] = ()
) -> Iterator[pl.DataFrame]:
    """Yield rows in blocks of bounded size: the `columns` that the file has, `source_file`, `source_line` (from 1), and
    `reason` of rows that have an unreadable value.

    Args:
        member: The file.
        columns: Columns that are needed.
        context: Receives the progress.
        required: Columns that the file must have.

    Raises:
        SourceError: The file is damaged, lacks a column, or has one twice.
    """
    line = 1
    try:
        with member.opener() as opened:
            file = open_file(opened if not member.is_zipped else io.BytesIO(member.read()))
            names = file.schema_arrow.names
            if missing := [name for name in required if name not in names]:
                raise SourceError(f"{member.name} has no column {', '.join(missing)}; get the file again")
            if repeated := [name for name in columns if names.count(name) > 1]:
                raise SourceError(f"{member.name} has more than one column {', '.join(repeated)}; rename the others")
            for rows in _read_blocks(file, columns):
                numbers = pl.int_range(line, line + rows.height, dtype=pl.Int64)
                yield rows.with_columns(source_line=numbers, source_file=pl.lit(member.name))
                line += rows.height
                context.report_progress(member.size * rows.height // max(file.metadata.num_rows, 1))
    except (OSError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0][:200]
        raise SourceError(f"{member.name} is damaged after row {line - 1:,} ({reason}); get the file again") from error


def _read_blocks(file: pq.ParquetFile, columns: list[str]) -> Iterator[pl.DataFrame]:
    types = {field.name: field.type for field in file.schema_arrow if field.name in columns}
    read = [name for name, data_type in types.items() if not _is_unreadable(data_type)]
    wrong = [
        f"{name} has the Parquet type {types[name]}, which is not in the contract" for name in types if name not in read
    ]
    for batch, is_too_long in read_batches(file, read, BLOCK_ROWS):
        if is_too_long:
            yield pl.DataFrame({**dict.fromkeys(read), "reason": [TOO_LONG]})
            continue
        series, reasons = [], np.full(batch.num_rows, next(iter(wrong), None), object)
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            column = _read_column(array)
            reasons[np.asarray(array.is_valid()) & np.asarray(column.is_null())] = f"{name} is not UTF-8"
            series.append(pl.Series(name, column))
        yield pl.DataFrame([*series, pl.Series("reason", reasons.tolist(), pl.String)])


def _read_column(array: pa.Array) -> pa.Array:
    """A column in a type that Polars reads, and `row_validation.conform` accepts or rejects; texts that are not UTF-8 are null."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_timestamp(array.type):
        return array.cast(pa.timestamp(array.type.unit, "UTC"))  # the instant is the same in every time zone
    item, text, binary = array.type, pa.large_string(), pa.large_binary()
    if is_list(array.type):
        array = _plain_list(array)
        item, text, binary = array.type.value_type, pa.large_list(text), pa.large_list(binary)
    if not (is_text(item) or pa.types.is_fixed_size_binary(item)):
        return array
    array = array.cast(binary)
    try:
        return array.cast(text)
    except pa.ArrowInvalid:  # files may declare bytes as text that are not UTF-8
        return pa.array(map(_decode, array.to_pylist()), text)


def _plain_list(array: pa.Array) -> pa.Array:
    """The lists as type `large_list`, with texts in place of dictionaries."""
    items = pc.list_flatten(array)  # of the rows of the batch alone, unlike a cast
    if pa.types.is_dictionary(items.type):
        items = items.dictionary_decode()
    ends = np.cumsum(pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int64)
    return pa.LargeListArray.from_arrays(pa.array(np.concatenate([[0], ends])), items, mask=array.is_null())


def _decode(value: Any) -> Any:
    """The text of bytes, or of a list of bytes; None if it is not UTF-8."""
    try:
        if isinstance(value, list):
            return [None if item is None else str(item, "utf-8") for item in value]
        return None if value is None else str(value, "utf-8")
    except UnicodeDecodeError:
        return None


def _is_unreadable(data_type: pa.DataType) -> bool:
    """Whether values are structures, or lists of those or of times, which may be of any size or of no year."""
    if is_list(data_type):
        data_type = data_type.value_type
        return bool(pa.types.is_nested(data_type) or pa.types.is_temporal(data_type))
    return bool(pa.types.is_nested(data_type))
