"""Hard search: occurrences of the candidate's track and artist in the user's histories, and their outcomes.

Like attention, it reads the history from the candidate's point of view, but by exact match and so over thousands of
events: the first stage (hard search) of SIM, Pi et al. 2020, "Search-based User Interest Modeling with Lifelong
Sequential Behavior Data", 2006.05639. Differs: matches are aggregated to counts, ages and last outcomes instead of
attended to.

Tracks and artists are matched alike, so most arrays have both: index 0 of S is the track, 1 the artist. A request takes
hundreds of sums over few occurrences, which cost little more than their calls; so sums of several columns are one call.

The same code offline and online. Each row is computed from its own candidate alone. Shape letters: B requests,
C candidates, S = 2 (track, artist), R = B·S·C rows, L events, P occurrences, K columns, W wanted candidates, V
vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.engine.numba_compile import compiled
from training.ranking.features.user_features import DAY_US, SECOND_US

NEVER_US = 100 * 365 * DAY_US
MISSING_DISTANCE = 16.0
LAST_OUTCOMES, LAST_AGES = 3, 2
RECENT_PLAYS = 50
SIDES = 2
"""Track and artist."""
PLAY_MATCH_FEATURES = 4 + LAST_OUTCOMES + LAST_AGES + 2 + 2 + 4
EVENT_MATCH_FEATURES = 2
MATCH_FEATURES = 2 * (PLAY_MATCH_FEATURES + EVENT_MATCH_FEATURES)

Array = NDArray[Any]


@dataclass(frozen=True)
class History:
    """One sequence of a user batch, prepared for matching: codes of tracks and artists, -1 at invalid positions."""

    code_BSL: Array
    ended_at_BL: Array
    length_B: Array

    @classmethod
    def from_events(cls, track_BL: Array, artist_V1: Array, ended_at_BL: Array, mask_BL: Array) -> History:
        """Return the history; masked events and unknown tracks or artists match no candidate.

        `artist_V1` is the result of `artist_lookup`.
        """
        is_known_BL = mask_BL & (track_BL > 1) & (track_BL < len(artist_V1) - 1)
        known_BL = np.where(is_known_BL, track_BL, -1).astype(np.int32)
        return cls(np.stack([known_BL, artist_V1.take(known_BL, mode="wrap")], axis=1), ended_at_BL, mask_BL.sum(1))

    def newest_positions(self, count: int) -> Array:
        """Return the positions of the newest `count` events, or of all, newest first [B, N]; negative beyond the oldest."""
        positions_BN: Array = self.length_B[:, None] - 1 - np.arange(min(count, self.code_BSL.shape[2]))
        return positions_BN

    @property
    def track_BL(self) -> Array:
        """Track of each event."""
        return self.code_BSL[:, 0]

    @property
    def artist_BL(self) -> Array:
        """Artist of each event."""
        return self.code_BSL[:, 1]


def artist_lookup(artist_of_track_V: Array) -> Array:
    """Return the artist of each track, -1 if unknown, with one more -1 at the end for the track -1."""
    return np.append(np.where(artist_of_track_V > 1, artist_of_track_V, -1), -1).astype(np.int32)


@dataclass(frozen=True)
class Outcomes:
    """Outcome of each play of a history (1 listened, -1 skipped, 0 padding), its played ratio, and whether it belongs
    to the current session of the request.
    """

    outcome_BL: Array
    ratio_BL: Array
    in_session_BL: Array


@dataclass(frozen=True)
class Matches:
    """All occurrences of the tracks and artists of B·C candidates in their user's history, row by row, oldest first.

    Equal tracks (or artists) of one request share the row of the first of them: `row_BSC`. `sequence_P` is the index of
    an occurrence's user and side in [B, S], `event_P` that of its event in [B, L].
    """

    row_BSC: Array
    row_P: Array
    sequence_P: Array
    position_P: Array
    event_P: Array
    end_R: Array
    count_R: Array

    @classmethod
    def find(cls, history: History, wanted_BSC: Array) -> Matches:
        """Return the occurrences of each candidate in a history; a candidate below -1 has none."""
        code_BSL = history.code_BSL
        row_BSC = np.arange(wanted_BSC.size).reshape(wanted_BSC.shape)
        count_R = np.zeros(wanted_BSC.size, dtype=np.int64)
        # A lookup table of candidates, which is never cleared: an entry counts only if its candidate is the event's track (or
        # artist).
        place_V = np.empty(max(code_BSL.max(initial=0), wanted_BSC.max(initial=0)) + 1, dtype=np.uint32)
        _count_occurrences(code_BSL, wanted_BSC, place_V, row_BSC, count_R)
        end_R = np.cumsum(count_R)
        row_P, position_P = np.empty((2, end_R[-1] if len(end_R) else 0), dtype=np.int64)
        _place_occurrences(code_BSL, wanted_BSC, place_V, end_R - count_R, row_P, position_P)
        sequence_P = row_P // max(wanted_BSC.shape[2], 1)
        event_P = (sequence_P // SIDES) * code_BSL.shape[2] + position_P
        return cls(row_BSC, row_P, sequence_P, position_P, event_P, end_R, count_R)

    def sum_occurrences(self, value_PK: Array) -> Array:
        """Return the sums of the columns over the occurrences of each candidate [B, S, C, K]."""
        sum_RK = np.zeros((len(self.count_R), value_PK.shape[1]))
        _add_rows(self.row_P, np.ascontiguousarray(value_PK, dtype=np.float64), sum_RK)
        return sum_RK[self.row_BSC]

    def newest_events(self, count: int) -> Array:
        """Return the index in [B, L] of the newest `count` occurrences [B, S, C, K], newest first; -1 if there are fewer."""
        age_K = np.arange(count)
        index_RK = np.where(self.count_R[:, None] > age_K, self.end_R[:, None] - 1 - age_K, -1)
        return np.append(self.event_P, -1)[index_RK][self.row_BSC]

    @property
    def count_BSC(self) -> Array:
        """Number of occurrences."""
        return self.count_R[self.row_BSC]


@compiled
def _count_occurrences(code_BSL: Array, wanted_BSC: Array, place_V: Array, row_BSC: Array, count_R: Array) -> None:
    """Count the occurrences in each row; equal candidates of a request get the row of the first of them."""
    B, S, C = wanted_BSC.shape
    for b in range(B):
        for s in range(S):
            _set_places(wanted_BSC[b, s], place_V)
            for c in range(C):
                if wanted_BSC[b, s, c] >= 0:
                    row_BSC[b, s, c] += int(place_V[wanted_BSC[b, s, c]]) - c
            for code in code_BSL[b, s]:
                if code >= 0 and place_V[code] < C and wanted_BSC[b, s, place_V[code]] == code:
                    count_R[(b * S + s) * C + place_V[code]] += 1


@compiled
def _place_occurrences(
    code_BSL: Array, wanted_BSC: Array, place_V: Array, begin_R: Array, row_P: Array, position_P: Array
) -> None:
    """Set row and position of each occurrence; `begin_R` becomes the ends."""
    B, S, C = wanted_BSC.shape
    for b in range(B):
        for s in range(S):
            _set_places(wanted_BSC[b, s], place_V)
            for position in range(code_BSL.shape[2]):
                code = code_BSL[b, s, position]
                if code >= 0 and place_V[code] < C and wanted_BSC[b, s, place_V[code]] == code:
                    row = (b * S + s) * C + int(place_V[code])
                    row_P[begin_R[row]], position_P[begin_R[row]] = row, position
                    begin_R[row] += 1


@compiled
def _set_places(wanted_C: Array, place_V: Array) -> None:
    for c in range(len(wanted_C) - 1, -1, -1):  # reversed: of equal candidates the first is written last
        if wanted_C[c] >= 0:
            place_V[wanted_C[c]] = c


@compiled
def _add_rows(row_P: Array, value_PK: Array, sum_RK: Array) -> None:
    for p in range(len(row_P)):
        for k in range(value_PK.shape[1]):
            sum_RK[row_P[p], k] += value_PK[p, k]


def values_at(value_BL: Array, event: Array, otherwise: float) -> Array:
    """Return the values of events, given by their index in [B, L]; `otherwise` where the index is negative."""
    return np.where(event >= 0, value_BL.ravel()[event], otherwise)


@dataclass(frozen=True)
class PlayMatches(Matches):
    """Occurrences in a history of plays, with what all searches read of them.

    `ago_P`: number of later plays of the user. `rank_P`: number of later occurrences of the same candidate.
    """

    outcome_P: Array
    ago_P: Array
    rank_P: Array

    @classmethod
    def find_plays(cls, history: History, outcomes: Outcomes, wanted_BSC: Array) -> PlayMatches:
        """Return the occurrences of each candidate; a candidate below -1 has none."""
        found = Matches.find(history, wanted_BSC)
        ago_P = history.length_B[found.sequence_P // SIDES] - 1 - found.position_P
        rank_P = found.end_R[found.row_P] - 1 - np.arange(len(found.row_P))
        return cls(**vars(found), outcome_P=outcomes.outcome_BL.ravel()[found.event_P], ago_P=ago_P, rank_P=rank_P)

    @property
    def listened_P(self) -> Array:
        """Whether each occurrence was listened to."""
        is_listened_P: Array = self.outcome_P > 0
        return is_listened_P

    def weighted_listen_rates(self, weight_PK: Array) -> tuple[Array, Array]:
        """Return log2(1 + weight of the occurrences), and the share of listens by weight [B, S, C, K] each."""
        K = weight_PK.shape[1]
        both_BSCK = self.sum_occurrences(np.concatenate([weight_PK, weight_PK * self.listened_P[:, None]], axis=1))
        total_BSCK, listens_BSCK = both_BSCK[..., :K], both_BSCK[..., K:]
        return np.log2(1 + total_BSCK), smoothed_listen_rate(listens_BSCK, total_BSCK - listens_BSCK)


@dataclass(frozen=True)
class SuccessorEvents:
    """Events that followed earlier occurrences of the newest track (or artist) of a history.

    Music is often played in an order in which it was played before: an album, a playlist. `is_successor_BSL`: events
    right after an occurrence of the newest track; `previous_position_BS`: its occurrence before the newest, -1 if there
    is none.
    """

    is_successor_BSL: Array
    previous_position_BS: Array

    @classmethod
    def from_history(cls, history: History) -> SuccessorEvents:
        """Return the successors in one sequence."""
        code_BSL = history.code_BSL
        newest_B11 = np.maximum(history.length_B - 1, 0)[:, None, None]
        wanted_BS1 = np.take_along_axis(code_BSL, newest_B11, axis=2)
        same_BSL = (code_BSL == wanted_BS1) & (wanted_BS1 >= 0)
        is_successor_BSL = np.zeros_like(same_BSL)
        is_successor_BSL[..., 1:] = same_BSL[..., :-1]
        np.put_along_axis(same_BSL, newest_B11, False, axis=2)
        position_BS = code_BSL.shape[2] - 1 - same_BSL[..., ::-1].argmax(axis=2)
        return cls(is_successor_BSL, np.where(same_BSL.any(axis=2), position_BS, -1))


def log_age(ended_at: Array, request_at: Array) -> Array:
    """Return log2(1 + minutes since a time); a time of 0 (never) counts as 100 years ago."""
    age = np.where(ended_at > 0, request_at - ended_at, NEVER_US)
    return np.log2(1 + np.maximum(age, 0) / (60 * SECOND_US))


def smoothed_listen_rate(listens: Array, skips: Array) -> Array:
    """Return the share of listens among plays, shrunk to 0.7 where there are few."""
    rate: Array = (listens + 0.7) / (listens + skips + 1)
    return rate


def encode_play_matches(history: History, outcomes: Outcomes, matches: PlayMatches, request_at_B: Array) -> Array:
    """Return the outcomes of tracks and artists in a long history of plays [B, S, C, PLAY_MATCH_FEATURES].

    Number of plays and share of listens; number among the RECENT_PLAYS newest, and whether it was the newest; outcomes,
    ages and played ratios of its last plays; number of plays and share of listens in this session; and succession to
    the newest play: number, share of listens, the distance in plays between the last earlier occurrence of the newest
    play and its own last play (signed log2; MISSING_DISTANCE if either is missing), and whether it was the last
    successor.
    """
    L, successors = history.code_BSL.shape[2], SuccessorEvents.from_history(history)
    previous_BS = successors.previous_position_BS
    next_BS = np.where(previous_BS >= 0, np.minimum(previous_BS + 1, L - 1), -1)
    in_session_P = outcomes.in_session_BL.ravel()[matches.event_P]
    after_P = successors.is_successor_BSL.ravel()[L * matches.sequence_P + matches.position_P]
    is_kind_KP = np.stack([matches.listened_P, matches.outcome_P < 0])
    is_new_P, is_next_P = matches.ago_P < RECENT_PLAYS, matches.position_P == next_BS.ravel()[matches.sequence_P]
    counted_KP = [*is_kind_KP, *(in_session_P & is_kind_KP), *(after_P & is_kind_KP)]
    sum_BSCK = matches.sum_occurrences(np.stack([*counted_KP, is_new_P, in_session_P, after_P, is_next_P], axis=1))
    newest_BSCK = matches.newest_events(max(LAST_OUTCOMES, LAST_AGES))
    last_BSC = np.where(newest_BSCK[..., 0] >= 0, newest_BSCK[..., 0] % L, -1)
    distance_BSC = last_BSC - previous_BS[..., None]
    has_no_distance_BSC = (last_BSC < 0) | (previous_BS[..., None] < 0)
    signed_BSC = np.sign(distance_BSC) * np.log2(1 + np.abs(distance_BSC))
    rate_BSCK = smoothed_listen_rate(sum_BSCK[..., 0:6:2], sum_BSCK[..., 1:6:2])
    count_BSCK = np.log2(1 + sum_BSCK[..., 6:9])
    newest_position_B11 = np.where(history.length_B > 0, history.length_B - 1, -2)[:, None, None]
    ended_BSCK = values_at(history.ended_at_BL, newest_BSCK[..., :LAST_AGES], 0)
    columns = [
        np.log2(1 + matches.count_BSC)[..., None],
        rate_BSCK[..., :1],
        count_BSCK[..., :1],
        (last_BSC == newest_position_B11)[..., None],
        values_at(outcomes.outcome_BL, newest_BSCK[..., :LAST_OUTCOMES], 0),
        log_age(ended_BSCK, request_at_B[:, None, None, None]),
        values_at(outcomes.ratio_BL, newest_BSCK[..., :LAST_AGES], -1),
        count_BSCK[..., 1:2],
        rate_BSCK[..., 1:2],
        count_BSCK[..., 2:],
        rate_BSCK[..., 2:],
        np.where(has_no_distance_BSC, MISSING_DISTANCE, signed_BSC)[..., None],
        sum_BSCK[..., 9:] > 0,
    ]
    return np.concatenate(columns, axis=3)


def encode_event_matches(history: History, matches: Matches, request_at_B: Array) -> Array:
    """Return number and age of the occurrences of tracks and artists [B, S, C, EVENT_MATCH_FEATURES]."""
    ended_BSC = values_at(history.ended_at_BL, matches.newest_events(1)[..., 0], 0)
    return np.stack([np.log2(1 + matches.count_BSC), log_age(ended_BSC, request_at_B[:, None, None])], axis=3)
