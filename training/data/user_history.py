"""What a request knows its user to have heard: the line between a repeat and a discovery.

Only what the request itself reads counts, so that evaluation and service draw the same line: whoever returns to a song
after two thousand others discovers it anew. Knows nothing about candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sequences import behaviours, sessions
from sequences.batch import FIRST_CODE, SequenceBatch
from training.data.listens import HISTORY_VIEW
from training.data.ragged import Ragged
from training.data.unique_keys import unique_values

RECENT_VIEW = "recent_events"
USER_HISTORY_VIEWS = (HISTORY_VIEW, RECENT_VIEW)


def concat_history_items(views: Mapping[str, SequenceBatch]) -> np.ndarray:
    """The item of every event in HEARD_VIEWS, [B, H], 0 where none; a missing view is empty.

    Raises:
        KeyError: none of HEARD_VIEWS was read, so that nobody knows how many requests there are.
    """
    known = [views[name].columns["track_id"] for name in USER_HISTORY_VIEWS if name in views]
    if not known:
        raise KeyError(f"none of the views {', '.join(USER_HISTORY_VIEWS)} was read; add them to the feature service")
    return np.concatenate(known, axis=1)


def unique_history_items(views: Mapping[str, SequenceBatch]) -> Ragged:
    """The distinct items of `heard_items`, ascending, unknown ones left out, a list for each request.

    Raises:
        KeyError: as `heard_items`.
    """
    items_BL = concat_history_items(views)
    row, column = np.nonzero(items_BL >= FIRST_CODE)
    top = np.int64(items_BL.max(initial=0) + 1)
    row, item = np.divmod(unique_values(row * top + items_BL[row, column]), top)
    return Ragged(item, np.searchsorted(row, np.arange(len(items_BL) + 1)))


def current_session_items(views: Mapping[str, SequenceBatch], request_at_B: np.ndarray) -> np.ndarray:
    """The distinct items, ascending, that the single request's user played or skipped in the session that it goes on with;
    none without the view RECENT.
    """
    recent = views.get(RECENT_VIEW)
    if recent is None or not recent.length_B[0]:
        return np.zeros(0, dtype=np.int64)
    plays = [behaviours.load_behaviours().encoder[name] for name in behaviours.play_behaviours()]
    is_now = sessions.is_in_current_session(recent, recent.length_B, request_at_B)
    item_L = recent.columns["track_id"][is_now & np.isin(recent.columns["behaviour"], plays)]
    return np.unique(item_L[item_L >= FIRST_CODE])


def concatenate_ragged(parts: Sequence[Ragged]) -> Ragged:
    """The lists of all parts, one after the other."""
    items = np.concatenate([np.zeros(0, dtype=np.int64), *(part.items for part in parts)])
    counts = np.concatenate([np.zeros(1, dtype=np.int64), *(part.count_C for part in parts)])
    return Ragged(items, counts.cumsum())
