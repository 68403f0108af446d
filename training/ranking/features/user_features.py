"""User features of a request: event codes, and dense features of the recent events and the profile.

Everything is computed from the sequences and the profile as known before the request; an event that ended at or after
it counts as padding. Does not depend on candidates. Shape letters: B requests, L events, U user features, W windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequences.behaviours import load_behaviours
from sequences.sequence_batch import SequenceBatch
from sequences.sessions import is_in_current_session

SECOND_US, HOUR_US, DAY_US = 1_000_000, 3_600_000_000, 86_400_000_000
GAP_BUCKETS, RATIO_BUCKETS = 28, 12
LAGS = 8
"""Newest events whose outcome and played ratio are features of their own."""
WINDOWS = (3, 5, 10, 20, 50)
LONG_WINDOWS = (100, 200, 500, 2000)
"""Numbers of newest events over which shares of listens are computed."""
PROFILE_VIEW = "user_profile"
PROFILE = ("plays_total", "listens_total", "full_plays_total", "skips_total", "tracks_total", "artists_total")
"""Fields of PROFILE_VIEW that `compute_user_features` encodes; for further ones see `schema_fields.py`."""

Array = NDArray[Any]


@dataclass(frozen=True)
class BehaviourCodes:
    """Codes in the sequences of listened plays, of skipped plays, and of all negative behaviors."""

    listened: tuple[int, ...]
    skipped: tuple[int, ...]
    negative: tuple[int, ...] = ()

    @classmethod
    def from_encoder(cls, code_of: Mapping[str, int]) -> BehaviourCodes:
        """Return the codes of the vocabulary's behavior encoder."""
        negative = tuple(code_of[name] for name in load_behaviours().with_polarity("negative"))
        return cls((code_of["full_play"], code_of["play"]), (code_of["skip"],), negative)

    @property
    def play_codes(self) -> tuple[int, ...]:
        """Codes of all plays, listened or skipped."""
        return self.listened + self.skipped

    def outcome(self, behaviour_BL: Array) -> Array:
        """Return 1 for a listen, -1 for a skip, 0 for anything else; float32."""
        outcome_BL: Array = self._outcome_by_code.take(behaviour_BL)
        return outcome_BL

    @cached_property
    def _outcome_by_code(self) -> Array:
        outcome_by_code = np.zeros(256, np.float32)
        outcome_by_code[list(self.listened)], outcome_by_code[list(self.skipped)] = 1, -1
        return outcome_by_code


def gap_bucket(gap_us: Array) -> Array:
    """Return the bucket of the time since an event, from 1: one per doubling from 30 s on; the last from 63 years."""
    octaves = np.log2(1 + np.maximum(gap_us, 0) / (30 * SECOND_US))
    return np.minimum(octaves.astype(np.int64) + 1, GAP_BUCKETS - 1)


def ratio_bucket(ratio: Array) -> Array:
    """Return the bucket of the played ratio, from 1, in tenths."""
    bucket: Array = np.minimum(np.maximum((ratio * 10).astype(np.int64) + 1, 1), RATIO_BUCKETS - 1)
    return bucket


def log_seconds(gap_us: Array) -> Array:
    """Return log2(1 + seconds), at least 0."""
    return np.log2(1 + np.maximum(gap_us, 0) / SECOND_US).astype(np.float32)


def compute_user_features(
    codes: BehaviourCodes,
    events: Mapping[str, Array],
    mask_BL: Array,
    request_at_B: Array,
    profile: Mapping[str, Array],
) -> Array:
    """Return user features [B, U], float32: last outcomes singly and in windows, pace, current session, profile totals.

    An outcome is 1 for a listen, -1 for a skip, 0 where there is no play.

    Args:
        codes: Behavior codes.
        events: behaviour, occurred_at and ended_at (µs UTC) and played_ratio [B, L], oldest first and right-padded.
        mask_BL: True where there is an event.
        request_at_B: Time of each request, µs UTC.
        profile: Profile features [B] by `view__field`; a missing one counts as 0.
    """
    B, L = mask_BL.shape
    length_B = mask_BL.sum(1)
    # Newest first and left-aligned: column k holds the event k places before the newest.
    ago_BL = length_B[:, None] - 1 - np.arange(L)
    valid_BL = ago_BL >= 0
    row_B1, at_BL = np.arange(B)[:, None], np.maximum(ago_BL, 0)
    outcome_BL = np.where(valid_BL, codes.outcome(events["behaviour"][row_B1, at_BL]), np.float32(0))
    ended_BL = events["ended_at"][row_B1, at_BL]
    ratio_BL = np.where(valid_BL, events["played_ratio"][row_B1, at_BL], 0)
    listened_BL, skipped_BL = outcome_BL > 0, outcome_BL < 0
    gap_BL = np.where(valid_BL, request_at_B[:, None] - ended_BL, 100 * 365 * DAY_US)

    columns = [_column(outcome_BL, k) for k in range(LAGS)] + [_column(ratio_BL, k) for k in range(LAGS)]
    for window in WINDOWS:
        listens = listened_BL[:, :window].sum(1)
        columns.append(listens / np.maximum(listens + skipped_BL[:, :window].sum(1), 1))
    columns += [log_seconds(_column(gap_BL, k, 100 * 365 * DAY_US)) for k in (0, 1, 2, 5, 10, 20)]
    session_BL = valid_BL
    if L:
        recent = SequenceBatch({name: events[name] for name in ("behaviour", "occurred_at", "ended_at")}, length_B)
        session_BL = valid_BL & is_in_current_session(recent, length_B, request_at_B)[row_B1, at_BL]
    plays_B = (session_BL & (outcome_BL != 0)).sum(1)
    columns += [np.log2(1 + plays_B), (session_BL & listened_BL).sum(1) / np.maximum(plays_B, 1), np.log2(1 + length_B)]
    total = {name: np.asarray(profile.get(f"{PROFILE_VIEW}__{name}", np.zeros(B)), np.float32) for name in PROFILE}
    plays_total_B = np.maximum(total["plays_total"], 1)
    columns += [np.log2(1 + total["plays_total"])]
    columns += [total[name] / plays_total_B for name in PROFILE[1:]]
    return np.stack([np.asarray(column, np.float32) for column in columns], axis=1)


def long_history_listen_rates(outcome_BL: Array, length_B: Array) -> Array:
    """Return shares of listens among the last LONG_WINDOWS plays of a long history [B, W], float32; 0 without plays.

    `outcome_BL` is 1 for a listen, -1 for a skip, oldest first and right-padded with 0.
    """
    B, L = outcome_BL.shape
    # One running sum holds both counts: plays in units of 1, listens in units of `unit`, which exceeds any number of plays.
    unit = 1 << L.bit_length()
    sums_BL1 = np.zeros((B, L + 1), dtype=np.int64)
    np.cumsum((outcome_BL != 0) + unit * (outcome_BL > 0), axis=1, out=sums_BL1[:, 1:])
    row_B, shares = np.arange(B), []
    for window in LONG_WINDOWS:
        both_B = sums_BL1[row_B, length_B] - sums_BL1[row_B, np.maximum(length_B - window, 0)]
        listens_B, plays_B = np.divmod(both_B, unit)
        shares.append(listens_B / np.maximum(plays_B, 1))
    return np.stack(shares, axis=1).astype(np.float32)


USER_FEATURES = 2 * LAGS + len(WINDOWS) + 6 + 3 + len(PROFILE)


def _column(values_BL: Array, k: int, otherwise: float = 0) -> Array:
    return values_BL[:, k] if k < values_BL.shape[1] else np.full(len(values_BL), otherwise, values_BL.dtype)
