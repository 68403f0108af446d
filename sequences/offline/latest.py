"""Every user's newest events at a time: what materialisation writes and an online read must equal.

Knows nothing about where they go.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from sequences.offline.list_reader import ListReader
from sequences.views import SequenceView


def read_latest(
    path: str, view: SequenceView, features: Sequence[str], as_of_us: int, user_ids: pa.Array | None = None
) -> pa.Table:
    """One row a user with events before `as_of_us` (µs UTC): user_id, known_at of the newest, a list a feature."""
    return latest_from_reader(ListReader.from_file(path, view, features, user_ids), as_of_us)


def latest_from_reader(reader: ListReader, as_of_us: int) -> pa.Table:
    """`latest` of the events that a reader holds."""
    users = reader.timeline.users
    as_of_B = np.full(len(users), reader.view.cutoff_us(as_of_us), dtype=np.int64)
    first_B, end_B = reader.timeline.bounds(np.arange(len(users)), as_of_B)
    columns = reader.read(users, as_of_B)
    newest_B = reader.timeline.known_at_E[np.maximum(end_B, 1) - 1] if len(users) else np.zeros(0, dtype=np.int64)
    table = pa.table(
        [pa.array(users, pa.string()), pa.array(newest_B).cast(pa.timestamp("us")), *columns],
        names=["user_id", "known_at", *reader.features],
    )
    return table.filter(pa.array(end_B > first_B))
