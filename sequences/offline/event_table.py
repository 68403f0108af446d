"""Reading a view's events from the event table, in file order and bounded pieces.

Knows nothing about what its callers make of the columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sequences.timeline import EventTableError
from sequences.views import ATTRIBUTES, EVENT_ID, SequenceView

ROWS_PER_BATCH = 262_144
KEY_COLUMNS = ("user_id", "behaviour", "target_type")
DICTIONARY_COLUMNS = frozenset(
    {*KEY_COLUMNS, *(a.name for a in ATTRIBUTES.values() if a.kind == "string" and a != EVENT_ID)}
)
"""Columns of texts that many events share: they are read as Arrow dictionaries, each text once a piece."""


def read_view(
    path: Path | str, view: SequenceView, columns: Sequence[str], user_ids: pa.Array | None = None
) -> Iterator[pa.RecordBatch]:
    """The view's events with `user_id`, `known_at` and `columns`; of `user_ids` only, when given.

    Raises:
        EventTableError: the file is missing or lacks a column.
    """
    given = list(dict.fromkeys(["user_id", "known_at", *columns]))
    needed = list(dict.fromkeys([*given, *KEY_COLUMNS]))
    wanted = {"behaviour": frozenset(view.behaviours)}
    if view.target_types:
        wanted["target_type"] = frozenset(view.target_types)
    if user_ids is not None:
        wanted["user_id"] = frozenset(user_ids.cast(pa.string()).to_pylist())
    for batch in read_batches(Path(path), needed, ROWS_PER_BATCH):
        belongs = np.ones(batch.num_rows, dtype=bool)
        for name, values in wanted.items():
            belongs &= is_in(batch[name], values)
        rows = batch.select(given)
        if belongs.all():
            yield rows
        elif belongs.any():
            yield rows.filter(pa.array(belongs))


def read_batches(path: Path, columns: Sequence[str], rows_per_batch: int) -> Iterator[pa.RecordBatch]:
    """The columns of the event table, a row group at a time; texts that many events share as Arrow dictionaries.

    Arrow's reader keeps the texts and bytes of all groups that it was asked for together: memory, and the time that a
    batch takes, would grow with the table.

    Raises:
        EventTableError: the file is missing or lacks a column.
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
    """Where the column's text is among the values: asked once a text, not once a row.

    A set, for all users that are asked for are held against piece after piece: Arrow would hash them anew for each.
    """
    # One more place at the end, for rows without text.
    is_wanted = np.array([*(text in values for text in column.dictionary.to_pylist()), False])
    places: np.ndarray = pc.fill_null(column.indices, len(is_wanted) - 1).to_numpy(zero_copy_only=False)
    found: np.ndarray = is_wanted[places]
    return found
