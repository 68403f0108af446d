"""Hard search: occurrences of the candidate's track and artist in the user's histories, and their outcomes.

Like attention, it reads the history from the candidate's point of view, but by exact match and so over thousands of
events: the first stage (hard search) of SIM, Pi et al. 2020, "Search-based User Interest Modeling with Lifelong
Sequential Behavior Data", 2006.05639. Differs: matches are aggregated to counts, ages and last outcomes instead of
attended to.

Tracks and artists are matched alike, so most arrays have both: index 0 of S is the track, 1 the artist. Compiled, because a
request takes hundreds of sums over few occurrences, which cost little more than their calls.

Networks and boosted trees read these joins; `history_searches.py` has further ones, which only trees read.

The same code offline and online. Each row is computed from its own candidate alone, and from plays that ended before the
request. Shape letters: B requests, C candidates, S = 2 (track, artist), R = B·S·C rows, L events, P occurrences, K columns, V
vocabulary, N newest plays.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from recommender.array_types import Array
from recommender.compiled import compiled
from recommender.ranking.features.user_features import DAY_US, SECOND_US

NEVER_US = 100 * 365 * DAY_US
MISSING_DISTANCE = 16.0
"""log2 of the distance in plays if there is none: larger than any history."""
LAST_OUTCOMES, LAST_AGES = 3, 2
RECENT_PLAYS = 50
PLAY_MATCH_FEATURES = 4 + LAST_OUTCOMES + LAST_AGES + 2 + 2 + 4
EVENT_MATCH_FEATURES = 2
MATCH_FEATURES = 2 * (PLAY_MATCH_FEATURES + EVENT_MATCH_FEATURES)


class History(NamedTuple):
    """One sequence of a user batch, prepared for matching: codes of tracks and artists, -1 at invalid positions.

    Valid events are the first `length_B` ones, oldest first.
    """

    code_BSL: Array
    ended_at_BL: Array
    length_B: Array

    @classmethod
    def from_events(cls, track_BL: Array, artist_V1: Array, ended_at_BL: Array, mask_BL: Array) -> History:
        """Return the history; masked events and unknown tracks or artists match no candidate.

        `artist_V1` is the result of `artist_lookup`.
        """
        code_BSL = np.empty((len(track_BL), 2, track_BL.shape[1]), dtype=np.int32)
        is_known_BL = mask_BL & (track_BL > 1) & (track_BL < len(artist_V1) - 1)
        code_BSL[:, 0] = -1
        code_BSL[:, 0][is_known_BL] = track_BL[is_known_BL]
        code_BSL[:, 1] = artist_V1[code_BSL[:, 0]]
        return cls(code_BSL, ended_at_BL, mask_BL.sum(1))

    def newest_positions(self, count: int) -> Array:
        """Return the positions of the newest `count` events, or of all, newest first [B, N]; negative beyond the oldest."""
        return self.length_B[:, None] - 1 - np.arange(min(count, self.code_BSL.shape[2]))

    @property
    def track_BL(self) -> Array:
        """Track of each event."""
        return self.code_BSL[:, 0]


def artist_lookup(artist_of_track_V: Array) -> Array:
    """Return the artist of each track, -1 if unknown, with one more -1 at the end for the track -1."""
    return np.append(np.where(artist_of_track_V > 1, artist_of_track_V, -1), -1).astype(np.int32)


class Outcomes(NamedTuple):
    """Outcome of each play of a history (1 listened, -1 skipped, 0 padding), its played ratio, and whether it belongs
    to the current session of the request.
    """

    outcome_BL: Array
    ratio_BL: Array
    in_session_BL: Array


class Matches(NamedTuple):
    """All occurrences of the tracks and artists of B·C candidates in their user's history.

    Row r has the positions `position_P[begin_R1[r] : begin_R1[r + 1]]`, oldest first. Equal tracks (or artists) of one
    request share the row of the first of them: `row_BSC`. The rows of the others have no occurrences.
    """

    row_BSC: Array
    begin_R1: Array
    position_P: Array

    def to_columns(self, feature_RK: Array) -> Array:
        """Return the columns of the track, then of the artist [B, C, S·K], from the values of rows."""
        feature_BCSK: Array = feature_RK[self.row_BSC.swapaxes(1, 2)]
        return feature_BCSK.reshape(*feature_BCSK.shape[:2], -1)


@compiled
def find_occurrences(code_BSL: Array, wanted_BSC: Array) -> Matches:
    """Return the occurrences of each candidate in a history; a candidate below 0 has none."""
    B, S, C = wanted_BSC.shape
    most = -1
    for wanted in wanted_BSC.flat:
        most = max(most, wanted)
    # A lookup table of candidates, which is never cleared: an entry counts only if its candidate is the event's track (or
    # artist).
    place_V = np.empty(most + 1, dtype=np.uint32)
    row_BSC, begin_R1 = np.empty((B, S, C), dtype=np.int64), np.zeros(B * S * C + 1, dtype=np.int64)
    for b in range(B):
        for s in range(S):
            first = (b * S + s) * C
            _set_places(wanted_BSC[b, s], place_V)
            for c in range(C):
                wanted = wanted_BSC[b, s, c]
                row_BSC[b, s, c] = first + (c if wanted < 0 else int(place_V[wanted]))
            for code in code_BSL[b, s]:
                if 0 <= code <= most and place_V[code] < C and wanted_BSC[b, s, place_V[code]] == code:
                    begin_R1[first + int(place_V[code]) + 1] += 1
    begin_R1 = np.cumsum(begin_R1)
    next_R, position_P = begin_R1[:-1].copy(), np.empty(begin_R1[-1], dtype=np.int64)
    for b in range(B):
        for s in range(S):
            _set_places(wanted_BSC[b, s], place_V)
            for position in range(code_BSL.shape[2]):
                code = code_BSL[b, s, position]
                if 0 <= code <= most and place_V[code] < C and wanted_BSC[b, s, place_V[code]] == code:
                    row = (b * S + s) * C + int(place_V[code])
                    position_P[next_R[row]] = position
                    next_R[row] += 1
    return Matches(row_BSC, begin_R1, position_P)


@compiled
def _set_places(wanted_C: Array, place_V: Array) -> None:
    for c in range(len(wanted_C) - 1, -1, -1):  # reversed: of equal candidates the first is written last
        if wanted_C[c] >= 0:
            place_V[wanted_C[c]] = c


@compiled
def log_age(ended_at: int, request_at: int) -> float:
    """Return log2(1 + minutes since a time); a time of 0 (never) counts as 100 years ago."""
    age = request_at - ended_at if ended_at > 0 else NEVER_US
    return float(np.log2(1 + max(age, 0) / (60 * SECOND_US)))


def smoothed_listen_rate(listens: Any, plays: Any) -> Any:
    """Return the share of listens among plays, shrunk to 0.7 where there are few."""
    return (listens + 0.7) / (plays + 1)


_rate = compiled(smoothed_listen_rate)


@compiled
def encode_plays(history: History, outcomes: Outcomes, matches: Matches, request_at_B: Array) -> Array:
    """Return the outcomes of tracks and artists in a long history of plays [R, PLAY_MATCH_FEATURES].

    Number of plays and share of listens; number among the RECENT_PLAYS newest, and whether it was the newest; outcomes,
    ages and played ratios of its last plays; number of plays and share of listens in this session; and succession to
    the newest play: number, share of listens, the distance in plays between the last earlier occurrence of the newest
    play and its own last play (signed log2; MISSING_DISTANCE if either is missing), and whether it was the last
    successor. Music is often played in an order in which it was played before: an album, a playlist.
    """
    B, S, C = matches.row_BSC.shape
    feature_RK = np.zeros((B * S * C, PLAY_MATCH_FEATURES))
    # Plays, listens and skips: all of them, those in this session, and successors of the newest play.
    count_33 = np.zeros((3, 3))
    previous = -1
    for row in range(B * S * C):
        b, s = row // (S * C), row // C % S
        code_L, newest = history.code_BSL[b, s], history.length_B[b] - 1
        wanted = code_L[newest] if newest >= 0 else -1
        if row % C == 0:  # of one request, all rows of a side have the same
            previous = newest - 1
            while previous >= 0 and (wanted < 0 or code_L[previous] != wanted):
                previous -= 1
        begin, end = matches.begin_R1[row], matches.begin_R1[row + 1]
        recent, is_next = 0, False
        count_33[:] = 0
        for position in matches.position_P[begin:end]:
            outcome = outcomes.outcome_BL[b, position]
            is_after = position > 0 and wanted >= 0 and code_L[position - 1] == wanted
            recent += newest - position < RECENT_PLAYS
            is_next |= previous >= 0 and position == previous + 1
            for kind, is_counted in enumerate((True, outcomes.in_session_BL[b, position], is_after)):
                if is_counted:
                    count_33[kind, 0] += 1
                    count_33[kind, 1] += outcome > 0
                    count_33[kind, 2] += outcome < 0
        own_K, last = feature_RK[row], matches.position_P[end - 1] if end > begin else -1
        own_K[0], own_K[2], own_K[3] = np.log2(1 + end - begin), np.log2(1 + recent), 0 <= last == newest
        for rank in range(LAST_OUTCOMES):
            if rank < end - begin:
                own_K[4 + rank] = outcomes.outcome_BL[b, matches.position_P[end - 1 - rank]]
        for rank in range(LAST_AGES):
            own_K[7 + rank], own_K[9 + rank] = log_age(0, request_at_B[b]), -1
            if rank < end - begin:
                position = matches.position_P[end - 1 - rank]
                own_K[7 + rank] = log_age(history.ended_at_BL[b, position], request_at_B[b])
                own_K[9 + rank] = outcomes.ratio_BL[b, position]
        for kind, place in enumerate((1, 12, 14)):
            own_K[place] = _rate(count_33[kind, 1], count_33[kind, 1] + count_33[kind, 2])
        own_K[11], own_K[13] = np.log2(1 + count_33[1, 0]), np.log2(1 + count_33[2, 0])
        distance = last - previous
        has_distance = last >= 0 and previous >= 0
        own_K[15] = np.sign(distance) * np.log2(1 + abs(distance)) if has_distance else MISSING_DISTANCE
        own_K[16] = is_next
    return feature_RK


@compiled
def encode_events(history: History, matches: Matches, request_at_B: Array) -> Array:
    """Return number and age of the occurrences of tracks and artists [R, EVENT_MATCH_FEATURES]."""
    B, S, C = matches.row_BSC.shape
    feature_RK = np.empty((B * S * C, EVENT_MATCH_FEATURES))
    for row in range(B * S * C):
        b, begin, end = row // (S * C), matches.begin_R1[row], matches.begin_R1[row + 1]
        ended_at = history.ended_at_BL[b, matches.position_P[end - 1]] if end > begin else 0
        feature_RK[row, 0], feature_RK[row, 1] = np.log2(1 + end - begin), log_age(ended_at, request_at_B[b])
    return feature_RK
