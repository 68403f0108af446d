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

from sequences.definition import ATTRIBUTES, EVENT_ID, SequenceView
from sequences.timeline import EventTableError

ROWS_AT_ONCE = 262_144
KEYS = ("user_id", "behaviour", "target_type")
REPEATING = frozenset({*KEYS, *(a.name for a in ATTRIBUTES.values() if a.kind == "string" and a != EVENT_ID)})
"""Columns of texts that many events share: they are read as Arrow dictionaries, each text once a piece."""


def read_view(
    path: Path | str, view: SequenceView, columns: Sequence[str], user_ids: pa.Array | None = None
) -> Iterator[pa.RecordBatch]:
    """The view's events with `user_id`, `known_at` and `columns`; of `user_ids` only, when given.

    Raises:
        EventTableError: the file is missing or lacks a column.
    """
    path = Path(path)
    if not path.exists():
        raise EventTableError(f"{path} does not exist; run `dbt build` first, it publishes the marts")
    given = list(dict.fromkeys(["user_id", "known_at", *columns]))
    needed = list(dict.fromkeys([*given, *KEYS]))
    wanted: dict[str, pa.Array] = {"behaviour": pa.array(view.behaviours, pa.string())}
    if view.target_types:
        wanted["target_type"] = pa.array(view.target_types, pa.string())
    if user_ids is not None:
        wanted["user_id"] = user_ids.cast(pa.string())
    with pq.ParquetFile(path, read_dictionary=sorted(REPEATING.intersection(needed)), memory_map=True) as file:
        missing = set(needed) - set(file.schema_arrow.names)
        if missing:
            raise EventTableError(f"{path} lacks the columns {sorted(missing)}; rebuild the marts with `dbt build`")
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=needed):
            belongs = np.ones(batch.num_rows, dtype=bool)
            for name, values in wanted.items():
                belongs &= is_in(batch[name], values)
            rows = batch.select(given)
            if belongs.all():
                yield rows
            elif belongs.any():
                yield rows.filter(pa.array(belongs))


def is_in(column: pa.DictionaryArray, values: pa.Array) -> np.ndarray:
    """Where the column's text is among the values: asked once a text, not once a row."""
    # One more place at the end, for rows without text.
    is_wanted = np.append(pc.is_in(column.dictionary, values).to_numpy(zero_copy_only=False), False)
    places: np.ndarray = pc.fill_null(column.indices, len(is_wanted) - 1).to_numpy(zero_copy_only=False)
    found: np.ndarray = is_wanted[places]
    return found
