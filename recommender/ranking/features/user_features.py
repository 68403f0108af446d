"""User features of a request: event codes, and dense features of the recent events and the profile.

Everything is computed from the sequences and the profile as known before the request; an event that ended at or after
it counts as padding. Does not depend on candidates. Shape letters: B requests, L events, U user features, W windows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recommender.array_types import Array
from recommender.compiled import compiled
from sequences.sequence_batch import SequenceBatch
from sequences.sessions import is_in_current_session

SECOND_US, HOUR_US, DAY_US = 1_000_000, 3_600_000_000, 86_400_000_000
BEHAVIORS, GAP_BUCKETS, RATIO_BUCKETS = 256, 28, 12
LAGS = 8
"""Newest events whose outcome and played ratio are features of their own."""
WINDOWS = (3, 5, 10, 20, 50)
LONG_WINDOWS = (100, 200, 500, 2000)
"""Numbers of newest events over which shares of listens are computed."""
GAP_PLACES = (0, 1, 2, 5, 10, 20)
"""Events, counted from the newest, whose age is a feature."""
PROFILE_VIEW = "user_profile"
PROFILE = ("plays_total", "listens_total", "full_plays_total", "skips_total", "tracks_total", "artists_total")
"""Fields of PROFILE_VIEW that `compute_user_features` encodes; for further ones see `track_statistics.py`."""
PROFILE_FIELDS = tuple(f"{PROFILE_VIEW}__{name}" for name in PROFILE)


def outcomes_of_behaviors(code_of: Mapping[str, int]) -> Array:
    """Return the outcome of each behavior code: 1 for a listen, -1 for a skip, 0 for anything else; float32."""
    outcome_V = np.zeros(BEHAVIORS, np.float32)
    outcome_V[[code_of["full_play"], code_of["play"]]], outcome_V[code_of["skip"]] = 1, -1
    return outcome_V


@compiled
def encode_sequence(
    track_BL: Array,
    behavior_BL: Array,
    ended_at_BL: Array,
    ratio_BL: Array,
    session_BL: Array,
    is_kept_BL: Array,
    request_at_B: Array,
    artist_V1: Array,
    width: int,
) -> Array:
    """Return codes of the newest `width` kept events [6, B, width]: track, artist, behavior, buckets of the time since the
    event and of the played ratio, and session.

    A bucket of time is one per doubling from 30 s on, from 1; the last from 63 years. Those of the ratio are tenths, from 1.
    Sessions are numbered from 1, the newest one.

    Args:
        track_BL: Tracks of events, oldest first.
        behavior_BL: Their behaviors.
        ended_at_BL: Their ends, µs UTC.
        ratio_BL: Their played ratios; without columns, the codes are 0.
        session_BL: Session of each event, ascending; without columns, the codes are 0.
        is_kept_BL: Which events are kept.
        request_at_B: Time of each request, µs UTC.
        artist_V1: Artist of each track, see `artist_lookup`.
        width: Number of events.
    """
    B, L = is_kept_BL.shape
    code_XBL = np.zeros((6, B, width), dtype=np.int64)
    for b in range(B):
        place = min(width - is_kept_BL[b].sum(), 0)
        newest = session_BL[b].max() if session_BL.shape[1] and L else 0
        for position in range(L):
            if is_kept_BL[b, position]:
                if place >= 0:
                    track, gap = track_BL[b, position], request_at_B[b] - ended_at_BL[b, position]
                    artist = artist_V1[track] if 0 <= track < len(artist_V1) - 1 else 1
                    code_XBL[0, b, place], code_XBL[1, b, place] = track, max(artist, 1)
                    code_XBL[2, b, place] = behavior_BL[b, position]
                    octave = int(np.log2(1 + max(gap, 0) / (30 * SECOND_US)))
                    code_XBL[3, b, place] = min(octave + 1, GAP_BUCKETS - 1)
                    if ratio_BL.shape[1]:
                        tenth = int(ratio_BL[b, position] * np.float32(10))
                        code_XBL[4, b, place] = min(max(tenth + 1, 1), RATIO_BUCKETS - 1)
                    if session_BL.shape[1]:
                        code_XBL[5, b, place] = newest - session_BL[b, position] + 1
                place += 1
    return code_XBL


def compute_user_features(
    outcome_V: Array, events: SequenceBatch, mask_BL: Array, request_at_B: Array, profile: Mapping[str, Array]
) -> Array:
    """Return user features [B, U], float32: last outcomes singly and in windows, pace, current session, profile totals.

    An outcome is 1 for a listen, -1 for a skip, 0 where there is no play.

    Args:
        outcome_V: See `outcomes_of_behaviors`.
        events: behavior, occurred_at and ended_at (µs UTC) and played_ratio [B, L], oldest first and right-padded.
        mask_BL: True where there is an event.
        request_at_B: Time of each request, µs UTC.
        profile: Profile features [B] by `view__field`; a missing one counts as 0.
    """
    length_B, columns = mask_BL.sum(1), events.columns
    in_session_BL = is_in_current_session(events, length_B, request_at_B) if mask_BL.shape[1] else mask_BL
    outcome_BL, times = outcome_V.take(columns["behavior"]), (columns["ended_at"], request_at_B)
    feature_BU = np.zeros((len(mask_BL), USER_FEATURES), dtype=np.float32)
    _encode_recent(outcome_BL, columns["played_ratio"], *times, length_B, in_session_BL, feature_BU)
    for place, name in enumerate(PROFILE_FIELDS, USER_FEATURES - len(PROFILE)):
        feature_BU[:, place] = profile.get(name, 0)
    total_B = feature_BU[:, -len(PROFILE)]
    feature_BU[:, -len(PROFILE) + 1 :] /= np.maximum(total_B, 1)[:, None]
    total_B[:] = np.log2(1 + total_B)
    return feature_BU


@compiled
def _encode_recent(
    outcome_BL: Array,
    ratio_BL: Array,
    ended_at_BL: Array,
    request_at_B: Array,
    length_B: Array,
    in_session_BL: Array,
    feature_BU: Array,
) -> None:
    """Write the features of the events."""
    for b in range(len(feature_BU)):
        own_U, pace = feature_BU[b], 2 * LAGS + len(WINDOWS)
        own_U[pace : pace + len(GAP_PLACES)] = np.log2(1 + 100 * 365 * DAY_US / SECOND_US)
        plays = listens = session_plays = session_listens = 0
        for ago in range(length_B[b]):
            position = length_B[b] - 1 - ago
            is_play, is_listened = outcome_BL[b, position] != 0, outcome_BL[b, position] > 0
            plays, listens = plays + is_play, listens + is_listened
            if in_session_BL[b, position]:
                session_plays, session_listens = session_plays + is_play, session_listens + is_listened
            if ago < LAGS:
                own_U[ago], own_U[LAGS + ago] = outcome_BL[b, position], ratio_BL[b, position]
            for w, window in enumerate(WINDOWS):
                if ago < window:
                    own_U[2 * LAGS + w] = listens / max(plays, 1)
            for place, one in enumerate(GAP_PLACES):
                if ago == one:
                    gap = max(request_at_B[b] - ended_at_BL[b, position], 0)
                    own_U[pace + place] = np.log2(1 + gap / SECOND_US)
        pace += len(GAP_PLACES)
        own_U[pace], own_U[pace + 1] = np.log2(1 + session_plays), session_listens / max(session_plays, 1)
        own_U[pace + 2] = np.log2(1 + length_B[b])


@compiled
def long_history_listen_rates(outcome_BL: Array, length_B: Array) -> Array:
    """Return shares of listens among the last LONG_WINDOWS plays of a long history [B, W], float32; 0 without plays.

    `outcome_BL` is 1 for a listen, -1 for a skip, oldest first and right-padded with 0.
    """
    share_BW = np.zeros((len(length_B), len(LONG_WINDOWS)), dtype=np.float32)
    for b in range(len(length_B)):
        plays = listens = 0
        for ago in range(min(length_B[b], LONG_WINDOWS[-1])):
            outcome = outcome_BL[b, length_B[b] - 1 - ago]
            plays, listens = plays + (outcome != 0), listens + (outcome > 0)
            for w, window in enumerate(LONG_WINDOWS):
                if ago < window:
                    share_BW[b, w] = listens / max(plays, 1)
    return share_BW


USER_FEATURES = 2 * LAGS + len(WINDOWS) + len(GAP_PLACES) + 3 + len(PROFILE)
