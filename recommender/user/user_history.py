"""User history of a request: which tracks the user has played, and which of those plays count as listens.

A candidate is a repeat if it is in the history that the request itself reads, else a discovery. Evaluation and serving
read the same views and therefore agree; a track last played more events ago than the views hold counts as a discovery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from recommender.catalog.arrays import Ragged, is_among, unique_values
from sequences import behaviors, sessions
from sequences.sequence_batch import FIRST_CODE, SequenceBatch
from sequences.views import SEQUENCE_VIEWS

HISTORY_VIEW = "played_history"  # all plays of a user, including skips
RECENT_VIEW = "recent_events"
USER_HISTORY_VIEWS = (HISTORY_VIEW, RECENT_VIEW)

LISTEN_BEHAVIORS = ("full_play", "play")
ITEM_BITS = 32
"""Bits of the item in a key of row and item."""
NEW_USER_TRACKS = 3
"""A user with fewer distinct played tracks is new."""
KEPT_BEHAVIORS = ("like", "collect", "share", "download")
"""Behaviors by which a user keeps a track."""


def full_history_begin(views: Mapping[str, SequenceBatch]) -> np.ndarray:
    """Time (µs UTC, [B]) of the first event of each full HISTORY_VIEW, before which there may be more plays; else 0.

    Empty without the view.
    """
    history = views.get(HISTORY_VIEW)
    if history is None:
        return np.zeros(0, dtype=np.int64)
    first_B = history.columns["ended_at"][:, :1].max(axis=1, initial=0)
    return np.where(history.length_B >= SEQUENCE_VIEWS[HISTORY_VIEW].length, first_B, 0)


def is_listened(history: SequenceBatch) -> np.ndarray:
    """Which events are listens, bool [B, L]; padding is not."""
    return has_behavior(history, LISTEN_BEHAVIORS)


def has_behavior(events: SequenceBatch, names: Sequence[str]) -> np.ndarray:
    """Which events have one of the named behaviors, bool [B, L]; padding has none."""
    return _named_codes(tuple(names))[events.columns["behavior"]] & events.mask_BL


@lru_cache
def _named_codes(names: tuple[str, ...]) -> np.ndarray:
    """Whether each behavior code is one of the named behaviors."""
    code_of = behaviors.load_behaviors().encoder
    is_named_V = np.zeros(max(code_of.values()) + 1, dtype=bool)
    is_named_V[[code_of[name] for name in names]] = True
    return is_named_V


def unique_history_items(views: Mapping[str, SequenceBatch]) -> Ragged:
    """The distinct items of USER_HISTORY_VIEWS for each request, ascending, without unknown items; one view may be missing."""
    items_BL = np.concatenate([views[name].columns["track_id"] for name in USER_HISTORY_VIEWS if name in views], axis=1)
    row, column = (items_BL >= FIRST_CODE).nonzero()
    key = unique_values(row << ITEM_BITS | items_BL[row, column])
    return Ragged(key & ((1 << ITEM_BITS) - 1), (key >> ITEM_BITS).searchsorted(np.arange(len(items_BL) + 1)))


def kept_items(views: Mapping[str, SequenceBatch]) -> set[int]:
    """Items that the user of the first request liked, saved, shared or downloaded, in RECENT_VIEW; empty without it."""
    recent = views.get(RECENT_VIEW)
    if recent is None:
        return set()
    return set(recent.columns["track_id"][0][has_behavior(recent, KEPT_BEHAVIORS)[0]].tolist())


def skipped_unheard_items(views: Mapping[str, SequenceBatch]) -> np.ndarray:
    """Distinct items, ascending, that the user of the first request skipped, and neither listened to nor liked or saved."""
    history = views[HISTORY_VIEW]
    item_L, is_listened_L = history.columns["track_id"][0], is_listened(history)[0]
    skipped = item_L[has_behavior(history, ("skip",))[0]]
    heard = np.concatenate([item_L[is_listened_L], np.array(list(kept_items(views)), dtype=np.int64)])
    items = unique_values(skipped[skipped >= FIRST_CODE])
    return items[~is_among(items, heard)]


def items_listened_twice(views: Mapping[str, SequenceBatch]) -> np.ndarray:
    """Distinct items, ascending, that the user of the first request has listened to at least twice, as far as HISTORY_VIEW has
    them. A clip that is too short for a listen counts if it was played to its end.
    """
    history = views[HISTORY_VIEW]
    ratio_L = history.columns["played_ratio"][0]
    is_whole_L = history.mask_BL[0] & (ratio_L >= behaviors.load_behaviors().full_play_ratio)
    is_heard_L = is_listened(history)[0] | is_whole_L
    items, counts = np.unique(history.columns["track_id"][0][is_heard_L], return_counts=True)
    return items[(counts >= 2) & (items >= FIRST_CODE)]


def current_session_items(views: Mapping[str, SequenceBatch], request_at_B: np.ndarray) -> np.ndarray:
    """Distinct items that the user of the first request played or skipped in the current session, by their last play."""
    recent = views[RECENT_VIEW]
    if not recent.length_B[0]:
        return np.zeros(0, dtype=np.int64)
    plays = [behaviors.load_behaviors().encoder[name] for name in behaviors.load_behaviors().with_action("play")]
    is_current = sessions.is_in_current_session(recent, recent.length_B, request_at_B)
    item_L = recent.columns["track_id"][is_current & np.isin(recent.columns["behavior"], plays)]
    items = item_L[item_L >= FIRST_CODE].tolist()
    return np.array(list(dict.fromkeys(reversed(items)))[::-1], dtype=np.int64)


def unplayed_items_of_new_user(views: Mapping[str, SequenceBatch]) -> np.ndarray:
    """Distinct items, ascending, that the user of the first request liked, clicked or else chose, but never played.

    These tell what a new user wants, for example three songs picked at the start, and are no recommendations. Empty for
    a user with at least NEW_USER_TRACKS played tracks.
    """
    recent = views[RECENT_VIEW]
    is_play_L = has_behavior(recent, behaviors.load_behaviors().with_action("play"))[0]
    item_L = recent.columns["track_id"][0]
    played_items = np.unique(np.concatenate([item_L[is_play_L], views[HISTORY_VIEW].columns["track_id"][0]]))
    if (played_items >= FIRST_CODE).sum() >= NEW_USER_TRACKS:
        return np.zeros(0, dtype=np.int64)
    return np.setdiff1d(item_L[recent.mask_BL[0] & (item_L >= FIRST_CODE)], played_items)
