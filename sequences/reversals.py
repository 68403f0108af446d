"""Reversals: events that take an earlier one back, as `unlike` does a `like`.

A sequence view contains both events. Models see neither of them: from the reversal on, the earlier event counts as none.
Before it, the earlier event counts, so a sequence is what was known at its time.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from event_store.behaviors import REVERSAL
from sequences.behaviors import code_mask, load_behaviors
from sequences.sequence_batch import FIRST_CODE, SequenceBatch

PREFIX = "un"
"""A reversal is named like the behavior that it takes back, with this prefix."""


@lru_cache(maxsize=1)
def reversed_behaviors() -> dict[str, str]:
    """Reversal → behavior that it takes back, from the behavior table."""
    return {name: name.removeprefix(PREFIX) for name in load_behaviors().with_polarity(REVERSAL)}


def drop_reversed(batch: SequenceBatch) -> SequenceBatch:
    """The events without reversals, and without the events on the same track that they take back.

    Args:
        batch: With the attributes `behavior` and, for events to take back, `track_id`.
    """
    if "behavior" not in batch.columns:
        return batch
    is_reversal_BL = code_mask(tuple(reversed_behaviors())).take(batch.columns["behavior"], mode="clip")
    if not is_reversal_BL.any():
        return batch
    is_kept_BL = np.logical_not(is_reversal_BL)
    row_E, place_E = np.nonzero(batch.mask_BL & np.any(is_reversal_BL, axis=1, keepdims=True))
    item_BL = batch.columns.get("track_id", np.zeros(is_reversal_BL.shape, dtype=np.int64))
    behavior_E = batch.columns["behavior"][row_E, place_E]
    _, is_reversed_E = find_reversed(item_BL[row_E, place_E], behavior_E, row_E, np.ones(len(row_E), dtype=bool))
    is_kept_BL[row_E, place_E] &= ~is_reversed_E
    return batch.where(is_kept_BL)


def find_reversed(
    item_E: NDArray[np.integer],
    behavior_E: NDArray[np.integer],
    user_E: NDArray[np.integer],
    is_past_E: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which events are no reversals, and which ones the user takes back later; unknown tracks cannot be told apart.

    Args:
        item_E: Track codes of E events, sorted by user and time.
        behavior_E: Their behavior codes.
        user_E: Their users, ascending.
        is_past_E: Which events are known; reversals after that take nothing back.
    """
    code = load_behaviors().encoder
    code_of = {code[reversal]: code[name] for reversal, name in reversed_behaviors().items()}
    is_reversal_E = np.isin(behavior_E, list(code_of))
    is_reversed_E = np.zeros(len(item_E), dtype=bool)
    for event in np.flatnonzero(is_reversal_E & is_past_E & (item_E >= FIRST_CODE)).tolist():
        earlier = slice(int(np.searchsorted(user_E, user_E[event])), event)
        is_same_E = (behavior_E[earlier] == code_of[int(behavior_E[event])]) & (item_E[earlier] == item_E[event])
        is_reversed_E[earlier] |= is_same_E
    return ~is_reversal_E, is_reversed_E
