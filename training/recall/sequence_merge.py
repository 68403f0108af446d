"""Merging of plays and clicks into one sequence, and of two candidate lists into one.

Legend: B requests, L events, K candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sequences import behaviours
from sequences.sequence_batch import FIRST_CODE
from training.data.user_batch import UserBatch
from training.engine.numba_compile import compiled
from training.recall.flat_histories import Histories
from training.recall.window_sampler import POSITIVE_BEHAVIOURS

EVENT_COLUMNS = ("track_id", "behaviour", "occurred_at", "ended_at")


@dataclass(frozen=True)
class MergedSequences:
    """B event sequences, oldest first, padded right with 0.

    `columns`: [B, L] each: track_id, behaviour, ended_at (µs), and `gap`, µs since the previous event (0 for the
    first). `length_B`: number of events.
    """

    columns: dict[str, np.ndarray]
    length_B: np.ndarray

    def events(self, row: int) -> tuple[np.ndarray, ...]:
        """Tracks, behaviors, ends and gaps [L] of one sequence, without padding."""
        names = "track_id", "behaviour", "ended_at", "gap"
        return tuple(self.columns[name][row, : self.length_B[row]] for name in names)


def merge_clicks(users: UserBatch, length: int) -> MergedSequences:
    """The newest `length` events: `recent_events`, preceded by older clicks on tracks from `recent_clicks` if there is
    space.

    `recent_events` holds the newest events of every behavior, so a click that is not in it is older than all of it. Cached
    for single requests, whose channels read the same sequence; caching training batches would cost memory.
    """
    if len(users) > 1:
        return _merge_clicks(users, length)
    return users.get_or_compute(("merge_clicks", length), lambda: _merge_clicks(users, length))


def _merge_clicks(users: UserBatch, length: int) -> MergedSequences:
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
    aligned, length_B = _left_align(columns, mask_BL, length)
    previous_BL = np.concatenate([aligned["occurred_at"][:, :1], aligned["ended_at"][:, :-1]], axis=1)
    gap_BL = np.maximum(aligned.pop("occurred_at") - previous_BL, 0)
    gap_BL[np.arange(gap_BL.shape[1]) >= length_B[:, None]] = 0
    return MergedSequences(aligned | {"gap": gap_BL}, length_B)


def _left_align(
    columns: dict[str, np.ndarray], mask_BL: np.ndarray, length: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The newest `length` masked events of each row at the left of [B, length] columns, and their number [B]."""
    from_end_BL = mask_BL[:, ::-1].cumsum(1)[:, ::-1]
    is_kept_BL = mask_BL & (from_end_BL <= length)
    length_B = is_kept_BL.sum(1).astype(np.int64)
    row, _ = np.nonzero(is_kept_BL)
    position = np.arange(len(row)) - np.searchsorted(row, row)
    aligned = {}
    for name, column in columns.items():
        aligned[name] = np.zeros((len(mask_BL), length), dtype=np.int64)
        aligned[name][row, position] = column[is_kept_BL]
    return aligned, length_B


def listened_histories(merged: MergedSequences) -> Histories:
    """The known items of each sequence with a positive behavior."""
    item_BL, code = merged.columns["track_id"], behaviours.load_behaviours().encoder
    is_event_BL = np.arange(item_BL.shape[1]) < merged.length_B[:, None]
    is_positive_BL = np.isin(merged.columns["behaviour"], [code[name] for name in POSITIVE_BEHAVIOURS])
    is_listened_BL = is_event_BL & is_positive_BL & (item_BL >= FIRST_CODE)
    return Histories(item_BL[is_listened_BL], np.append(0, np.cumsum(is_listened_BL.sum(1))))


def interleave(first_BK: np.ndarray, second_BK: np.ndarray, share: float, k: int) -> np.ndarray:
    """One ranked list of `k` items per row, with about `share` of the positions, evenly spaced, from the second list.

    An item in both lists keeps its better position. 0 = no item, at the end of the inputs and of the result. With
    `share` 1 the whole second list comes first.
    """
    result_BK = np.zeros((len(first_BK), k), dtype=np.int64)
    for first_K, second_K, result_K in zip(first_BK, second_BK, result_BK, strict=True):
        _interleave(first_K, second_K, max(1 - share, 1e-9), max(share, 1e-9), result_K)
    return result_BK


@compiled
def _interleave(
    first_I: np.ndarray, second_J: np.ndarray, first_share: float, second_share: float, result_K: np.ndarray
) -> None:
    """Write the items of both lists into the result in the order of (place + .5) / share."""
    size = 1
    for items in (first_I, second_J):
        for item in items:
            size = max(size, item + 1)
    is_taken = np.zeros(size, dtype=np.bool_)
    i = j = k = 0
    while k < len(result_K) and (i < len(first_I) or j < len(second_J)):
        is_first = j == len(second_J)
        if i < len(first_I) and not is_first:
            is_first = (i + 0.5) / first_share <= (j + 0.5) / second_share
        if is_first:
            item, i = first_I[i], i + 1
        else:
            item, j = second_J[j], j + 1
        if item > 0 and not is_taken[item]:
            is_taken[item], result_K[k] = True, item
            k += 1
