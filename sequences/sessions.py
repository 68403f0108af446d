"""Sessionization of a sequence: its sessions, derived from the sequence itself and therefore equal offline and online.

The session number of the `sessions` mart counts all earlier sessions of the user and changes when a late play arrives,
so an online read cannot provide it (docs/adr/0013-derive-sessions-from-sequences.md). Session boundaries can be derived from the
events that were read. The gap between sessions is the variable `session_gap_minutes` of `dbt/dbt_project.yml`.

Legend: B sequences, L events.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sequences import behaviours
from sequences.sequence_batch import SequenceBatch

WINDOW = 128
"""Number of newest events searched first; they nearly always contain the whole current session."""


def sessionize(batch: SequenceBatch) -> NDArray[np.int64]:
    """Session number of each event [B, L], 1 for the oldest session in the sequence; 0 is padding.

    A play that starts more than the session gap after the end of the previous play begins a session; an event that is
    not a play belongs to the current session.

    Args:
        batch: With the columns `behaviour` (codes of `Behaviours.encoder`), `occurred_at` and `ended_at`. Its view must
            contain every play of the window.
    """
    sessions: NDArray[np.int64] = np.where(batch.mask_BL, 1 + np.cumsum(_session_starts(batch), axis=1), 0)
    return sessions


def is_in_current_session(
    batch: SequenceBatch, length_B: NDArray[np.int64], request_at_B: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Mask [B, L] of those of the first `length_B` events that belong to the session that a request continues.

    No event does if more than the session gap has passed since the newest of them ended.

    Args:
        batch: See `sessionize`.
        length_B: Number of events of each sequence to consider.
        request_at_B: Request times, µs UTC.
    """
    L = batch.columns["ended_at"].shape[1]
    place_L = np.arange(L)
    begin_B, newest_B = _last_session_start(batch, length_B, min(WINDOW, L)), np.maximum(length_B - 1, 0)
    ended_B = np.take_along_axis(batch.columns["ended_at"], newest_B[:, None], axis=1)[:, 0]
    is_continued_B = request_at_B - ended_B <= behaviours.session_gap_us()
    end_B = np.where(is_continued_B, length_B, 0)
    is_in_session_BL: NDArray[np.bool_] = (place_L >= begin_B[:, None]) & (place_L < end_B[:, None])
    return is_in_session_BL


def _last_session_start(batch: SequenceBatch, length_B: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Position where the last session of the first `length_B` events begins [B]; searches `width` events, then all."""
    first_B = np.maximum(length_B - width, 0)
    row_B1, place_BW = np.arange(len(first_B))[:, None], first_B[:, None] + np.arange(width)
    begins_BW = _session_starts(
        SequenceBatch(
            {name: batch.columns[name][row_B1, place_BW] for name in ("behaviour", "occurred_at", "ended_at")},
            np.minimum(batch.length_B - first_B, width),
        )
    )
    begins_BW &= place_BW < np.maximum(length_B, 1)[:, None]
    last_B = width - 1 - begins_BW[:, ::-1].argmax(axis=1)
    is_found_B = begins_BW.any(axis=1)
    if not (is_found_B | (first_B == 0)).all():
        return _last_session_start(batch, length_B, batch.columns["ended_at"].shape[1])
    return np.where(is_found_B, first_B + last_B, 0)


def _session_starts(batch: SequenceBatch) -> NDArray[np.bool_]:
    """Mask [B, L] of the events that begin a session, except the first session of a sequence."""
    is_play_BL = _play_code_mask().take(batch.columns["behaviour"], mode="clip") & batch.mask_BL
    ended_BL = np.where(is_play_BL, batch.columns["ended_at"], np.iinfo(np.int64).min)
    # End of the newest play before each event; plays are sorted by their ends.
    before_BL = np.maximum.accumulate(ended_BL, axis=1)[:, :-1]
    begins_BL = np.zeros(is_play_BL.shape, dtype=bool)
    begins_BL[:, 1:] = (
        is_play_BL[:, 1:]
        & (before_BL > np.iinfo(np.int64).min)
        & (batch.columns["occurred_at"][:, 1:] > before_BL + behaviours.session_gap_us())
    )
    return begins_BL


@lru_cache(maxsize=1)
def _play_code_mask() -> NDArray[np.bool_]:
    """Whether each behavior code is a play."""
    table = behaviours.load_behaviours()
    is_play_code = np.zeros(max(table.encoder.values()) + 1, dtype=bool)
    is_play_code[[table.encoder[name] for name in table.with_action("play")]] = True
    return is_play_code
