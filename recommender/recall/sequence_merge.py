"""Merging of plays and clicks into one sequence, and of two candidate lists into one.

Legend: B requests, L events, K candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.compiled import compiled
from recommender.user.user_batch import UserBatch
from sequences.sequence_batch import FIRST_CODE

EVENT_COLUMNS = ("track_id", "behavior", "occurred_at", "ended_at")


@dataclass(frozen=True)
class MergedSequences:
    """B event sequences, oldest first, padded right with 0.

    `columns`: [B, L] each: track_id, behavior, ended_at (µs), and `gap`, µs since the previous event (0 for the
    first). `length_B`: number of events.
    """

    columns: dict[str, np.ndarray]
    length_B: np.ndarray

    def events(self, row: int) -> tuple[np.ndarray, ...]:
        """Tracks, behaviors, ends and gaps [L] of one sequence, without padding."""
        names = "track_id", "behavior", "ended_at", "gap"
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
    clicks = users.views.get("recent_clicks") or recent.newest(0)
    merged_XBL, length_B = np.zeros((len(EVENT_COLUMNS), len(users), length), np.int64), np.zeros(len(users), np.int64)
    click_columns, recent_columns = (tuple([view.columns[name] for name in EVENT_COLUMNS]) for view in (clicks, recent))
    _merge_rows(click_columns, clicks.length_B, recent_columns, recent.length_B, merged_XBL, length_B)
    return MergedSequences(dict(zip(("track_id", "behavior", "gap", "ended_at"), merged_XBL, strict=True)), length_B)


@compiled
def _merge_rows(
    clicks: tuple[np.ndarray, ...],
    clicks_B: np.ndarray,
    recent: tuple[np.ndarray, ...],
    recent_B: np.ndarray,
    merged_XBL: np.ndarray,
    length_B: np.ndarray,
) -> None:
    """Write tracks, behaviors, gaps and ends of the merged events, and their number; columns as EVENT_COLUMNS."""
    for b in range(len(length_B)):
        recents = min(recent_B[b], merged_XBL.shape[2])
        oldest = recent[3][b, 0] if recents else np.iinfo(np.int64).max
        older, click = np.empty(merged_XBL.shape[2] - recents, np.int64), clicks_B[b]
        while click > 0 and length_B[b] < len(older):
            click -= 1
            if clicks[3][b, click] < oldest and clicks[0][b, click] >= FIRST_CODE:
                older[length_B[b]] = click
                length_B[b] += 1
        clicked = length_B[b]
        length_B[b] += recents
        for place in range(length_B[b]):
            is_click = place < clicked
            event = older[clicked - 1 - place] if is_click else recent_B[b] - length_B[b] + place
            events = clicks if is_click else recent
            occurred_at, ended_at = events[2][b, event], events[3][b, event]
            previous = merged_XBL[3, b, place - 1] if place else occurred_at
            merged_XBL[0, b, place], merged_XBL[1, b, place] = events[0][b, event], events[1][b, event]
            merged_XBL[2, b, place], merged_XBL[3, b, place] = max(occurred_at - previous, 0), ended_at


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


POSITIVE_BEHAVIORS = ("full_play", "play", "like", "collect", "share", "download")
