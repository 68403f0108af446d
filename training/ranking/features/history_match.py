"""Hard search: where a candidate's own track and artist occur in the user's histories, and what came of them.

A view of the history that depends on the candidate, as attention is, but by exact match and so over thousands of
events: the first stage of Pi et al. 2020, "Search-based User Interest Modeling with Lifelong Sequential Behavior Data",
2006.05639. Differs: what is found is summed up in counts, ages and last outcomes rather than attended to.

Shape letters: B requests, C candidates, R = B·C pairs of them, L events, P occurrences, M match features. The same code
offline and online. Every row is computed from its own candidate alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.ranking.features.user_features import DAY_US, SECOND_US

NEVER_US = 100 * 365 * DAY_US
MISSING_DISTANCE = 16.0
LAST_OUTCOMES, LAST_AGES = 3, 2
RECENT_PLAYS = 50
PLAY_MATCH_FEATURES = 4 + LAST_OUTCOMES + LAST_AGES + 2 + 2 + 4
EVENT_MATCH_FEATURES = 2
MATCH_FEATURES = 2 * (PLAY_MATCH_FEATURES + EVENT_MATCH_FEATURES)

Array = NDArray[Any]


@dataclass(frozen=True)
class History:
    """One sequence of a user batch with what matching needs; invalid positions have track and artist -1."""

    track_BL: Array
    artist_BL: Array
    ended_at_BL: Array
    length_B: Array

    @classmethod
    def from_events(cls, track_BL: Array, maker_V1: Array, ended_at_BL: Array, mask_BL: Array) -> History:
        """Events that are masked, or whose track or artist nobody knows, match no candidate; `maker_V1`: see `makers`."""
        is_known_BL = mask_BL & (track_BL > 1) & (track_BL < len(maker_V1) - 1)
        known_BL = np.where(is_known_BL, track_BL, -1).astype(np.int32)
        return cls(known_BL, maker_V1.take(known_BL, mode="wrap"), ended_at_BL, mask_BL.sum(1))


def artist_lookup(artist_of_track_V: Array) -> Array:
    """The artist of each track, -1 where nobody knows one, and once more -1 at the end: for the track -1."""
    return np.append(np.where(artist_of_track_V > 1, artist_of_track_V, -1), -1).astype(np.int32)


@dataclass(frozen=True)
class Outcomes:
    """What came of each play of a history: 1 listened, -1 skipped, 0 where there is none; how much of it was played;
    whether it belongs to the session that the request goes on with.
    """

    outcome_BL: Array
    ratio_BL: Array
    in_session_BL: Array


@dataclass(frozen=True)
class Matches:
    """Every occurrence of B·C candidates in their user's history, candidate by candidate, oldest first.

    Candidates of one request that are equal (the same artist) share the row of the first of them: `row_BC`.
    """

    row_BC: Array
    user_P: Array
    row_P: Array
    position_P: Array
    end_R: Array
    count_R: Array

    @classmethod
    def find(cls, history_BL: Array, wanted_BC: Array) -> Matches:
        """Where in a history each candidate occurs; a negative candidate occurs nowhere."""
        B, C = wanted_BC.shape
        row_BC = np.arange(B * C).reshape(B, C)
        if C == 1:
            user_P, place_P = np.nonzero((history_BL == wanted_BC) & (wanted_BC >= 0))
            row_P = user_P
        else:
            # A table of what is wanted, read once an event: thousands of events times hundreds of candidates are many.
            table = np.full(max(history_BL.max(initial=0), wanted_BC.max(initial=0)) + 2, -1)
            found = []
            for b, (history_L, wanted_C) in enumerate(zip(history_BL, wanted_BC, strict=True)):
                place_W = np.flatnonzero(wanted_C >= 0)[::-1]  # of equal ones the first is written last
                wanted_W = wanted_C[place_W]
                table[wanted_W] = row_BC[b, place_W]
                row_BC[b, place_W] = table[wanted_W]
                row_L = table[history_L]  # -1, an unknown event, reads the end of the table
                place = np.flatnonzero(row_L >= 0)
                place = place[np.argsort(row_L[place], kind="stable")]
                found.append((np.full(len(place), b), row_L[place], place))
                table[wanted_W] = -1
            nothing = np.zeros(0, dtype=np.int64)
            user_P, row_P, place_P = (np.concatenate([nothing, *parts]) for parts in zip(*found, strict=True))
        count_R = np.bincount(row_P, minlength=B * C)
        return cls(row_BC, user_P, row_P, place_P, np.cumsum(count_R), count_R)

    def sum_events(self, values_BL: Array) -> Array:
        """Sum of the values over the occurrences [B, C]."""
        return self.sum_occurrences(values_BL[self.user_P, self.position_P])

    def sum_occurrences(self, values_P: Array) -> Array:
        """Sum over the occurrences [B, C] of one value each."""
        return np.bincount(self.row_P, weights=values_P, minlength=len(self.count_R))[self.row_BC]

    def kth_newest_value(self, values_BL: Array, otherwise: float, k: int = 1) -> Array:
        """The value at the k-th newest occurrence [B, C]."""
        found_R = np.full(len(self.count_R), otherwise, dtype=np.float64)
        has_R = np.flatnonzero(self.count_R >= k)
        newest = self.end_R[has_R] - k
        found_R[has_R] = values_BL[self.user_P[newest], self.position_P[newest]]
        return found_R[self.row_BC]

    def weighted_listen_rate(self, weights_P: Array, listened_P: Array) -> list[Array]:
        """Two columns [B, C]: the weight of the occurrences (log2 of 1 +), and the share of it that was listened to."""
        all_BC, listens_BC = self.sum_occurrences(weights_P), self.sum_occurrences(weights_P * listened_P)
        return [np.log2(1 + all_BC), smoothed_listen_rate(listens_BC, all_BC - listens_BC)]

    @property
    def recency_rank_P(self) -> Array:
        """How many later occurrences of the same candidate there are: 0 is its newest."""
        return self.end_R[self.row_P] - 1 - np.arange(len(self.row_P))

    @property
    def count_BC(self) -> Array:
        """How many occurrences."""
        return self.count_R[self.row_BC]

    @property
    def last_position_BC(self) -> Array:
        """Position of the newest occurrence, -1 where there is none."""
        last_R = np.full(len(self.count_R), -1)
        has_R = np.flatnonzero(self.count_R)
        last_R[has_R] = self.position_P[self.end_R[has_R] - 1]
        return last_R[self.row_BC]


@dataclass(frozen=True)
class SuccessorEvents:
    """What came next, in a history, the other times that its newest track (or artist) occurred.

    Music is often heard in an order that was heard before: an album, a playlist. `after_BL`: events right after an
    occurrence of the newest; `place_B`: the occurrence before the newest, -1 where there is none.
    """

    is_successor_BL: Array
    previous_position_B: Array

    @classmethod
    def from_history(cls, history_BL: Array, length_B: Array) -> SuccessorEvents:
        """Of one sequence, -1 where an event has no known track (or artist)."""
        newest_B1 = np.maximum(length_B - 1, 0)[:, None]
        wanted_B1 = np.take_along_axis(history_BL, newest_B1, axis=1)
        same_BL = (history_BL == wanted_B1) & (wanted_B1 >= 0)
        after_BL = np.zeros_like(same_BL)
        after_BL[:, 1:] = same_BL[:, :-1]
        np.put_along_axis(same_BL, newest_B1, False, axis=1)
        place_B = history_BL.shape[1] - 1 - same_BL[:, ::-1].argmax(axis=1)
        return cls(after_BL, np.where(same_BL.any(axis=1), place_B, -1))


def log_age(ended_at_BC: Array, request_at_B: Array) -> Array:
    """log2 of (1 + minutes) since a time [B, C]; never is 100 years."""
    age = np.where(ended_at_BC > 0, request_at_B[:, None] - ended_at_BC, NEVER_US)
    return np.log2(1 + np.maximum(age, 0) / (60 * SECOND_US))


def smoothed_listen_rate(listens: Array, skips: Array) -> Array:
    """Share of listens among plays, drawn to .7 where there are few."""
    share: Array = (listens + 0.7) / (listens + skips + 1)
    return share


TrackArtistMatches = tuple[Matches, Matches]
"""Where the candidates' tracks and their artists are in one history."""


def match_history(history: History, track_BC: Array, artist_BC: Array) -> TrackArtistMatches:
    """Every occurrence of both; what several searches share."""
    return Matches.find(history.track_BL, track_BC), Matches.find(history.artist_BL, artist_BC)


def encode_play_matches(
    history: History, outcomes: Outcomes, found: TrackArtistMatches, request_at_B: Array
) -> list[Array]:
    """What came of the track and of the artist in a long history of plays: OF_PLAYS columns for each.

    How often it was played, and the share that was listened to; the outcomes of the last times, how much was played of
    it then and when; how often among the NEWEST plays, whether it was the very newest; how it went in this session; and
    whether it used to come after the newest one: how often, what came of it, and how many plays lay between the last
    time of the newest and its own last time (signed log2; NO_STRIDE where either is missing).
    """
    listened_BL, skipped_BL = outcomes.outcome_BL > 0, outcomes.outcome_BL < 0
    is_new_BL = np.arange(history.track_BL.shape[1]) >= history.length_B[:, None] - RECENT_PLAYS
    columns: list[Array] = []
    for values_BL, match in zip((history.track_BL, history.artist_BL), found, strict=True):
        following = SuccessorEvents.from_history(values_BL, history.length_B)
        last_BC, place_B1 = match.last_position_BC, following.previous_position_B[:, None]
        has_no_stride_BC, stride_BC = (last_BC < 0) | (place_B1 < 0), last_BC - place_B1
        after_BL, session_BL = following.is_successor_BL, outcomes.in_session_BL
        columns += [
            np.log2(1 + match.count_BC),
            smoothed_listen_rate(match.sum_events(listened_BL), match.sum_events(skipped_BL)),
            np.log2(1 + match.sum_events(is_new_BL)),
            last_BC == np.where(history.length_B > 0, history.length_B - 1, -2)[:, None],
            *(match.kth_newest_value(outcomes.outcome_BL, 0, k) for k in range(1, LAST_OUTCOMES + 1)),
            *(
                log_age(match.kth_newest_value(history.ended_at_BL, 0, k), request_at_B)
                for k in range(1, LAST_AGES + 1)
            ),
            match.kth_newest_value(outcomes.ratio_BL, -1),
            match.kth_newest_value(outcomes.ratio_BL, -1, 2),
            np.log2(1 + match.sum_events(session_BL)),
            smoothed_listen_rate(match.sum_events(session_BL & listened_BL), match.sum_events(session_BL & skipped_BL)),
            np.log2(1 + match.sum_events(after_BL)),
            smoothed_listen_rate(match.sum_events(after_BL & listened_BL), match.sum_events(after_BL & skipped_BL)),
            np.where(has_no_stride_BC, MISSING_DISTANCE, np.sign(stride_BC) * np.log2(1 + np.abs(stride_BC))),
            is_last_successor(history, match, following),
        ]
    return columns


def is_last_successor(history: History, match: Matches, following: SuccessorEvents) -> Array:
    """Whether the candidate is what came right after the last earlier occurrence of the newest [B, C]."""
    L = history.track_BL.shape[1]
    next_B = np.where(following.previous_position_B >= 0, np.minimum(following.previous_position_B + 1, L - 1), -1)
    found_BC: Array = match.sum_occurrences(match.position_P == next_B[match.user_P]) > 0
    return found_BC


def encode_event_matches(history: History, found: TrackArtistMatches, request_at_B: Array) -> list[Array]:
    """How often and when last the track and the artist occur in a history of one kind of event: OF_EVENTS for each."""
    columns: list[Array] = []
    for match in found:
        columns += [np.log2(1 + match.count_BC), log_age(match.kth_newest_value(history.ended_at_BL, 0), request_at_B)]
    return columns
