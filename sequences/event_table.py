"""Reading a view's events from the event table, in file order and bounded pieces.

Knows nothing about what its callers make of the columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sequences.definition import SequenceView
from sequences.timeline import EventTableError

ROWS_AT_ONCE = 262_144


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
    needed = list(dict.fromkeys(["user_id", "known_at", "behaviour", "target_type", *columns]))
    behaviours, target_types = pa.array(view.behaviours, pa.string()), pa.array(view.target_types, pa.string())
    with pq.ParquetFile(path) as file:
        missing = set(needed) - set(file.schema_arrow.names)
        if missing:
            raise EventTableError(f"{path} lacks the columns {sorted(missing)}; rebuild the marts with `dbt build`")
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=needed):
            wanted = pc.is_in(batch["behaviour"], behaviours)
            if view.target_types:
                wanted = pc.and_(wanted, pc.is_in(batch["target_type"], target_types))
            if user_ids is not None:
                wanted = pc.and_(wanted, pc.is_in(batch["user_id"], user_ids))
            rows = batch.filter(wanted)
            if rows.num_rows:
                yield rows.select(list(dict.fromkeys(["user_id", "known_at", *columns])))
