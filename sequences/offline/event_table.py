"""Reading of a view's events from the event table, in file order and in batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sequences.sequence_views import ATTRIBUTES, SequenceView
from sequences.timeline import EventTableError

ROWS_PER_BATCH = 262_144
KEY_COLUMNS = ("user_id", "behavior", "target_type")
DICTIONARY_COLUMNS = frozenset(
    {*KEY_COLUMNS, *(a.name for a in ATTRIBUTES.values() if a.kind == "string" and a.name != "event_id")}
)
"""Text columns with few distinct values, which are read as Arrow dictionaries."""


def read_view(
    path: Path | str, view: SequenceView, columns: Sequence[str], user_ids: pa.Array | None = None
) -> Iterator[pa.RecordBatch]:
    """The view's events with `user_id`, `known_at` and `columns`.

    Args:
        path: The event table.
        view: Determines the behaviors and target types.
        columns: Further columns to return.
        user_ids: Users whose events to return; None: all.

    Raises:
        EventTableError: The file is missing or lacks a column.
    """
    output_columns = list(dict.fromkeys(["user_id", "known_at", *columns]))
    for batch in read_users(Path(path), list(dict.fromkeys([*output_columns, *KEY_COLUMNS])), user_ids):
        if len(rows := select_view(batch, view, output_columns)):
            yield rows


def select_view(batch: pa.RecordBatch, view: SequenceView, columns: Sequence[str]) -> pa.RecordBatch:
    """Columns of those rows of the event table that belong to a view."""
    belongs = is_in(batch["behavior"], frozenset(view.behaviors))
    if view.target_types:
        belongs &= is_in(batch["target_type"], frozenset(view.target_types))
    rows = batch.select(columns)
    return rows if belongs.all() else rows.filter(pa.array(belongs))


def read_users(path: Path, columns: Sequence[str], user_ids: pa.Array | None = None) -> Iterator[pa.RecordBatch]:
    """Columns of the event table, among them `user_id`, of some users; None: of all.

    Raises:
        EventTableError: The file is missing or lacks a column.
    """
    users = None if user_ids is None else frozenset(user_ids.cast(pa.string()).to_pylist())
    for batch in read_batches(path, columns, ROWS_PER_BATCH):
        yield batch if users is None else batch.filter(pa.array(is_in(batch["user_id"], users)))


def read_batches(path: Path, columns: Sequence[str], rows_per_batch: int) -> Iterator[pa.RecordBatch]:
    """Columns of the event table, `DICTIONARY_COLUMNS` as Arrow dictionaries.

    Row groups are read one by one: Arrow keeps dictionaries and buffers of all row groups of one call, so memory and the
    time per batch would grow with the table.

    Raises:
        EventTableError: The file is missing or lacks a column.
    """
    if not path.exists():
        raise EventTableError(f"{path} does not exist; run `dbt build` first, it publishes the marts")
    with pq.ParquetFile(path, read_dictionary=sorted(DICTIONARY_COLUMNS.intersection(columns))) as file:
        missing = set(columns) - set(file.schema_arrow.names)
        if missing:
            raise EventTableError(f"{path} lacks the columns {sorted(missing)}; rebuild the marts with `dbt build`")
        for group in range(file.num_row_groups):
            yield from file.iter_batches(rows_per_batch, row_groups=[group], columns=list(columns))


def is_in(column: pa.DictionaryArray, values: frozenset[str]) -> np.ndarray:
    """Mask of the rows whose text is one of `values`; looked up once per distinct text.

    `values` is a Python set because it is reused for every batch, while `pyarrow.compute.is_in` would hash it each time.
    """
    # The last position is for null.
    is_member = np.array([*(text in values for text in column.dictionary.to_pylist()), False])
    places: np.ndarray = pc.fill_null(column.indices, len(is_member) - 1).to_numpy(zero_copy_only=False)
    return is_member[places]
