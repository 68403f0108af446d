"""Reads Parquet files of any schema as rows of a contract table, so that a column of a wrong type rejects rows, not the file.

They are read in batches of bounded size, because a value that is stored once may stand in any number of rows.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.readers.parsing.json_rows import to_text
from ingestion.readers.parsing.reader import ReadContext
from ingestion.source_files import MAX_LINE_BYTES, Member, SourceError

BATCH_BYTES = 32 << 20
VALUE_BYTES = 8  # of a number, or of the place of a text in its dictionary

BLOCK_ROWS = 100_000
RESERVED_COLUMNS = ("source_file", "source_line", "reason", "raw")
"""Columns that readers add to the rows."""
TOO_LONG = f"the row is longer than {MAX_LINE_BYTES >> 20} MB"
Rejected = dict[int, str]
"""Row of a block, from 0, to the reason of its rejection."""


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
    return pl.Series(name, [None] * len(array), pl.String), dict.fromkeys(
        np.flatnonzero(array.is_valid()).tolist(), reason
    )


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
