"""What a user listened to, out of a history of every play. Knows nothing about models."""

from __future__ import annotations

import numpy as np

from sequences import behaviours
from sequences.batch import SequenceBatch

HISTORY = "played_history"
"""The view of a user's plays, far back; skips are among them."""

LISTENED = ("full_play", "play")


def is_listened(history: SequenceBatch) -> np.ndarray:
    """Which plays were listened to [B, L]; padding was not."""
    code_of, code_BL = behaviours.load().encoder, history.columns["behaviour"]
    found_BL: np.ndarray = np.zeros(code_BL.shape, dtype=bool)
    for name in LISTENED:  # `np.isin` takes ten times as long
        found_BL |= code_BL == code_of[name]
    return found_BL & history.mask_BL


def listened(history: SequenceBatch) -> SequenceBatch:
    """The plays that were listened to, as far to the left as they go; the rest of a row is 0."""
    return history.where(is_listened(history))
