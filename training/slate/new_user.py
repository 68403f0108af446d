"""New users: how few plays make a user new, and the tracks that such a user has chosen without playing them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sequences import behaviours
from sequences.sequence_batch import FIRST_CODE, SequenceBatch
from training.data.user_history import HISTORY_VIEW, RECENT_VIEW, has_behaviour

NEW_USER_TRACKS = 3
"""A user with fewer distinct played tracks is new."""


def unplayed_items_of_new_user(views: Mapping[str, SequenceBatch]) -> np.ndarray:
    """Distinct items, ascending, that the user of the first request liked, clicked or else chose, but never played.

    These tell what a new user wants, for example three songs picked at the start, and are no recommendations. Empty for
    a user with at least NEW_USER_TRACKS played tracks, and without the view RECENT_VIEW.
    """
    recent = views.get(RECENT_VIEW)
    if recent is None:
        return np.zeros(0, dtype=np.int64)
    is_play_L = has_behaviour(recent, behaviours.play_behaviours())[0]
    item_L = recent.columns["track_id"][0]
    history = [views[HISTORY_VIEW].columns["track_id"][0]] if HISTORY_VIEW in views else []
    played_items = np.unique(np.concatenate([item_L[is_play_L], *history]))
    if (played_items >= FIRST_CODE).sum() >= NEW_USER_TRACKS:
        return np.zeros(0, dtype=np.int64)
    unplayed: np.ndarray = np.setdiff1d(item_L[recent.mask_BL[0] & (item_L >= FIRST_CODE)], played_items)
    return unplayed
