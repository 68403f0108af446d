"""Sessions within a sequence, derived from the sequence itself: so they are the same wherever it was read.

The number that the `sessions` mart gives a session counts all of the user's sessions before it, and one late play
renumbers what follows; an online read could not give it (docs/adr/0013-sessions-are-derived.md). Where one session
ends and the next begins it can. Legend: B sequences, L events.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sequences import behaviours
from sequences.batch import SequenceBatch

PLAYS = ("full_play", "play", "skip")
MINUTE_US = 60_000_000
WINDOW = 128
"""So many of the newest events nearly always hold the session that is going on."""


def sessionize(batch: SequenceBatch) -> NDArray[np.int64]:
    """The session of each event, from 1 for the oldest one in the sequence; 0 is padding.

    A play that occurred more than the gap (dbt's `session_gap_minutes`) after the end of the play before begins a
    session; what is no play belongs to the session that is going on. The batch needs the columns `behaviour` (coded as
    in `Behaviours.encoder`), `occurred_at` and `ended_at`, and every play of the window must be in the view.
    """
    sessions: NDArray[np.int64] = np.where(batch.mask_BL, 1 + np.cumsum(_session_starts(batch), axis=1), 0)
    return sessions


def is_in_current_session(
    batch: SequenceBatch, length_B: NDArray[np.int64], request_at_B: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether each of the first `length_B` events belongs to the session that a request goes on with [B, L].

    None does when the gap has passed since the end of the newest of them. Times in µs UTC; what the batch needs: see
    `session_BL`.
    """
    L = batch.columns["ended_at"].shape[1]
    place_L = np.arange(L)
    begin_B, newest_B = _last_session_start(batch, length_B, min(WINDOW, L)), np.maximum(length_B - 1, 0)
    ended_B = np.take_along_axis(batch.columns["ended_at"], newest_B[:, None], axis=1)[:, 0]
    goes_on_B = request_at_B - ended_B <= behaviours.load_behaviours().session_gap_minutes * MINUTE_US
    end_B = np.where(goes_on_B, length_B, 0)
    found: NDArray[np.bool_] = (place_L >= begin_B[:, None]) & (place_L < end_B[:, None])
    return found


def _last_session_start(batch: SequenceBatch, length_B: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Where the last session of the first `length_B` events begins [B]. Looks at `width` of them, then at all."""
    first_B = np.maximum(length_B - width, 0)
    place_BW = first_B[:, None] + np.arange(width)
    begins_BW = _session_starts(
        SequenceBatch(
            {
                name: np.take_along_axis(batch.columns[name], place_BW, axis=1)
                for name in ("behaviour", "occurred_at", "ended_at")
            },
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
    """Where a session begins after another one of the sequence [B, L]."""
    table = behaviours.load_behaviours()
    is_play_code = np.zeros(max(table.encoder.values()) + 1, dtype=bool)
    is_play_code[[table.encoder[name] for name in PLAYS]] = True
    is_play_BL = is_play_code.take(batch.columns["behaviour"], mode="clip") & batch.mask_BL
    ended_BL = np.where(is_play_BL, batch.columns["ended_at"], np.iinfo(np.int64).min)
    # End of the newest play before each event: plays are in the order of their ends.
    before_BL = np.maximum.accumulate(ended_BL, axis=1)[:, :-1]
    begins_BL = np.zeros(is_play_BL.shape, dtype=bool)
    begins_BL[:, 1:] = (
        is_play_BL[:, 1:]
        & (before_BL > np.iinfo(np.int64).min)
        & (batch.columns["occurred_at"][:, 1:] > before_BL + table.session_gap_minutes * MINUTE_US)
    )
    return begins_BL
