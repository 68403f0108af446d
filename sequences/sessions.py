"""Sessionization of a sequence: its sessions, derived from the sequence itself and therefore equal offline and online.

The session number of the `sessions` mart counts all earlier sessions of the user and changes when a late play arrives,
so an online read cannot provide it (docs/adr/README.md#0013). Session boundaries can be derived from the
events that were read, by the definition of the mart (`int_plays_sessionized`): a play begins a session if it starts
(`occurred_at`) more than `session_gap_minutes` (`dbt/dbt_project.yml`) after the end of the user's previous play, or lasts
longer than a day with its pauses, so that a daily build has a bound on what it reads.

Legend: B sequences, L events.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sequences import behaviors
from sequences.sequence_batch import SequenceBatch
from sequences.sequence_views import DAY_US

WINDOW = 128
"""Number of newest events searched first; they nearly always contain the whole current session."""
NEVER = np.iinfo(np.int64).min


def sessionize(batch: SequenceBatch) -> NDArray[np.int64]:
    """Session number of each event [B, L], 1 for the oldest session in the sequence; 0 is padding.

    An event that is not a play belongs to the session of the play before it.

    Args:
        batch: With the columns `behavior` (codes of `Behaviors.encoder`), `occurred_at` and `ended_at`. Its view must
            contain every play of the window.
    """
    return np.where(batch.mask_BL, 1 + np.cumsum(_session_starts(batch), axis=1), 0)


def begins_session(
    occurred_at_N: NDArray[np.int64], ended_at_N: NDArray[np.int64], previous_ended_at_N: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether each play begins a session after the previous play of its user; times in µs UTC."""
    is_later_N: NDArray[np.bool_] = occurred_at_N > previous_ended_at_N + behaviors.load_behaviors().session_gap_us
    return is_later_N | (ended_at_N > occurred_at_N + DAY_US)


def is_in_current_session(
    batch: SequenceBatch, length_B: NDArray[np.int64], request_at_B: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Mask [B, L] of the first `length_B` events: whether one belongs to the session of a play that starts now.

    If that play would begin a session, these are the events, none of them plays, within the session gap before it.

    Args:
        batch: See `sessionize`.
        length_B: Number of events of each sequence to consider.
        request_at_B: Request times, µs UTC.
    """
    ended_BL = batch.columns["ended_at"]
    place_L = np.arange(ended_BL.shape[1])
    begin_B, play_ended_B = _newest_session(batch, length_B, min(WINDOW, ended_BL.shape[1]))
    gap_began_B = request_at_B - behaviors.load_behaviors().session_gap_us
    is_member_BL = np.where(
        (play_ended_B >= gap_began_B)[:, None], place_L >= begin_B[:, None], ended_BL >= gap_began_B[:, None]
    )
    return is_member_BL & (place_L < length_B[:, None])


def _newest_session(
    batch: SequenceBatch, length_B: NDArray[np.int64], width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Position where the last session of the first `length_B` events begins, and the end of its newest play [B].

    Searches `width` events, then all. Without a play the end is the smallest integer.
    """
    first_B = np.maximum(length_B - width, 0)
    row_B1, place_BW = np.arange(len(first_B))[:, None], first_B[:, None] + np.arange(width)
    window = SequenceBatch(
        {name: batch.columns[name][row_B1, place_BW] for name in ("behavior", "occurred_at", "ended_at")},
        length_B - first_B,
    )
    begins_BW = _session_starts(window)
    last_B = width - 1 - begins_BW[:, ::-1].argmax(axis=1)
    is_found_B = begins_BW.any(axis=1)
    if not (is_found_B | (first_B == 0)).all():
        return _newest_session(batch, length_B, batch.columns["ended_at"].shape[1])
    play_ended_B = _play_ends(window).max(axis=1, initial=NEVER)
    return np.where(is_found_B, first_B + last_B, 0), play_ended_B


def _session_starts(batch: SequenceBatch) -> NDArray[np.bool_]:
    """Mask [B, L] of the events that begin a session, except the first session of a sequence."""
    ended_BL = _play_ends(batch)
    # End of the newest play before each event; plays are sorted by their ends.
    before_BL = np.maximum.accumulate(ended_BL, axis=1)[:, :-1]
    begins_BL = np.zeros(ended_BL.shape, dtype=bool)
    is_after_play_BL = (ended_BL[:, 1:] > NEVER) & (before_BL > NEVER)
    begins_BL[:, 1:] = is_after_play_BL & begins_session(
        batch.columns["occurred_at"][:, 1:], ended_BL[:, 1:], before_BL
    )
    return begins_BL


def _play_ends(batch: SequenceBatch) -> NDArray[np.int64]:
    """End of each play [B, L]; NEVER for other events and padding."""
    is_play_code = behaviors.code_mask(behaviors.load_behaviors().with_action("play"))
    is_play_BL = is_play_code.take(batch.columns["behavior"], mode="clip") & batch.mask_BL
    return np.where(is_play_BL, batch.columns["ended_at"], NEVER)
