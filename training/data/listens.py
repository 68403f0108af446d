"""What a user listened to, out of a history of every play. Knows nothing about models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sequences import behaviours
from sequences.batch import SequenceBatch

HISTORY_VIEW = "played_history"
"""The view of a user's plays, far back; skips are among them."""

LISTEN_BEHAVIOURS = ("full_play", "play")


def is_listened(history: SequenceBatch) -> np.ndarray:
    """Which plays were listened to [B, L]; padding was not."""
    return has_behaviour(history, LISTEN_BEHAVIOURS)


def has_behaviour(events: SequenceBatch, names: Sequence[str]) -> np.ndarray:
    """Which events have one of the behaviours [B, L]; padding has none."""
    code_of = behaviours.load_behaviours().encoder
    is_one_V = np.zeros(max(code_of.values()) + 1, dtype=bool)
    is_one_V[[code_of[name] for name in names]] = True
    found_BL: np.ndarray = is_one_V[events.columns["behaviour"]] & events.mask_BL
    return found_BL


def select_listens(history: SequenceBatch, columns: Sequence[str] = ()) -> SequenceBatch:
    """The plays that were listened to, as far to the left as they go; the rest of a row is 0. Of all columns, or of some."""
    is_listened_BL = is_listened(history)
    kept = {name: history.columns[name] for name in columns} or history.columns
    return SequenceBatch(kept, history.length_B).where(is_listened_BL)
