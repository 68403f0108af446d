"""Plays and clicks as one sequence, and two lists of candidates as one. Knows nothing about models.

Legend: B requests, L events, K candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sequences import behaviours
from sequences.batch import FIRST_CODE
from training.data.user_batch import UserBatch
from training.recall.realtime.transitions import Histories
from training.recall.window_sampler import POSITIVE_BEHAVIOURS

EVENT_COLUMNS = ("track_id", "behaviour", "occurred_at", "ended_at")


@dataclass(frozen=True)
class MergedSequences:
    """B sequences, oldest first, padded right with 0: track_id, behaviour, ended_at, and `gap` (µs since the event
    before; 0 at first).
    """

    columns: dict[str, np.ndarray]
    length_B: np.ndarray

    def take(self, rows: np.ndarray) -> MergedSequences:
        """The sequences of `rows`."""
        return MergedSequences({name: column[rows] for name, column in self.columns.items()}, self.length_B[rows])


def merge_clicks(users: UserBatch, length: int) -> MergedSequences:
    """The newest `length` of `recent_events`, before them older clicks on tracks from `recent_clicks` as far as there
    is room.

    `recent_events` holds the newest events of every behaviour, so a click that is missing there is older than all of
    it.
    """
    recent = users.views["recent_events"]
    columns = {name: recent.columns[name] for name in EVENT_COLUMNS}
    mask_BL = recent.mask_BL
    if "recent_clicks" in users.views:
        clicks = users.views["recent_clicks"]
        oldest_B = np.where(recent.length_B > 0, recent.columns["ended_at"][:, 0], np.iinfo(np.int64).max)
        is_older_BL = (
            clicks.mask_BL
            & (clicks.columns["ended_at"] < oldest_B[:, None])
            & (clicks.columns["track_id"] >= FIRST_CODE)
        )
        columns = {name: np.concatenate([clicks.columns[name], columns[name]], axis=1) for name in EVENT_COLUMNS}
        mask_BL = np.concatenate([is_older_BL, mask_BL], axis=1)
    packed, length_B = _left_align(columns, mask_BL, length)
    previous_BL = np.concatenate([packed["occurred_at"][:, :1], packed["ended_at"][:, :-1]], axis=1)
    gap_BL = np.maximum(packed.pop("occurred_at") - previous_BL, 0)
    gap_BL[np.arange(gap_BL.shape[1]) >= length_B[:, None]] = 0
    return MergedSequences(packed | {"gap": gap_BL}, length_B)


def _left_align(
    columns: dict[str, np.ndarray], mask_BL: np.ndarray, length: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The newest `length` marked events of each row, moved to the left."""
    from_end_BL = mask_BL[:, ::-1].cumsum(1)[:, ::-1]
    kept_BL = mask_BL & (from_end_BL <= length)
    length_B = kept_BL.sum(1).astype(np.int64)
    row, _ = np.nonzero(kept_BL)
    place = np.arange(len(row)) - np.searchsorted(row, row)
    out = {}
    for name, column in columns.items():
        packed = np.zeros((len(mask_BL), length), dtype=np.int64)
        packed[row, place] = column[kept_BL]
        out[name] = packed
    return out, length_B


def listened_histories(merged: MergedSequences) -> Histories:
    """What of each sequence was listened to."""
    item_BL, code = merged.columns["track_id"], behaviours.load_behaviours().encoder
    is_event_BL = np.arange(item_BL.shape[1]) < merged.length_B[:, None]
    is_kind_BL = np.isin(merged.columns["behaviour"], [code[name] for name in POSITIVE_BEHAVIOURS])
    is_listened_BL = is_event_BL & is_kind_BL & (item_BL >= FIRST_CODE)
    return Histories(item_BL[is_listened_BL], np.append(0, np.cumsum(is_listened_BL.sum(1))))


def interleave(first_BK: np.ndarray, second_BK: np.ndarray, share: float, k: int) -> np.ndarray:
    """One list of `k` with about `share` of its places, evenly spread, from the second list; an item found by both
    keeps its better place.

    0 is none, at the end of the lists and of the result. `share` 1 puts the whole second list first.
    """
    first_place = (np.arange(first_BK.shape[1]) + 0.5) / max(1 - share, 1e-9)
    second_place = (np.arange(second_BK.shape[1]) + 0.5) / max(share, 1e-9)
    by_place = np.argsort(np.concatenate([first_place, second_place]), kind="stable")
    result_BK = np.zeros((len(first_BK), k), dtype=np.int64)
    for row, both in enumerate(np.concatenate([first_BK, second_BK], axis=1)):
        items = both[by_place]
        items = items[items > 0]
        by_item = np.argsort(items, kind="stable")
        # The first of equal items stays.
        first = np.sort(by_item[np.diff(items[by_item], prepend=0) != 0])[:k]
        result_BK[row, : len(first)] = items[first]
    return result_BK
