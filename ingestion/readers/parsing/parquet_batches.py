"""Reads Parquet files in batches of bounded size, because a value that is stored once may stand in any number of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.source_files import MAX_LINE_BYTES

BATCH_BYTES = 32 << 20
VALUE_BYTES = 8  # of a number, or of the place of a text in its dictionary


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
    types = {field.name: field.type for field in file.schema_arrow if "." not in field.name}
    paths = set()
    for number in range(file.metadata.num_columns):
        column = file.schema.column(number)
        data_type = types.get(column.path.split(".")[0], pa.null())
        item = data_type.value_type if is_list(data_type) else data_type
        text = item.value_type if pa.types.is_dictionary(item) else item
        if column.physical_type == "BYTE_ARRAY" and is_text(text) and column.path not in others:
            paths.add(column.path)
    return paths


def _batch_rows(file: pq.ParquetFile, columns: list[str], max_rows: int) -> int:
    """Number of rows that certainly stay below the size of a batch, apart from texts of dictionaries."""
    dictionaries, largest = _dictionary_paths(file), 1
    for group in (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)):
        row_bytes = 0
        for number in range(file.metadata.num_columns):
            chunk, column = group.column(number), file.schema.column(number)
            if column.path.split(".")[0] not in columns and column.path not in columns:
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
