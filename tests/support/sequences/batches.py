"""Hand-made sequences of users as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sequences.behaviors import load_behaviors
from sequences.sequence_batch import SequenceBatch


def batch_of(names: str, *rows: Sequence[Sequence[object]], length: int = 0) -> SequenceBatch:
    """The events of each user, oldest first, padded to the longest or to `length`.

    Args:
        names: Names of the columns, with spaces between; values of `behavior` are names of behaviors.
        rows: Per user, a list of events, each with a value per column.
        length: Of all sequences, at least.
    """
    encode = load_behaviors().encoder
    length_B = np.array([len(events) for events in rows])
    columns = {name: np.zeros((len(rows), max([length, *length_B])), np.int64) for name in names.split()}
    for place, (name, column_BL) in enumerate(columns.items()):
        for row, events in enumerate(rows):
            values = [event[place] for event in events]
            column_BL[row, : len(events)] = [encode[one] for one in values] if name == "behavior" else values
    return SequenceBatch(columns, length_B)
