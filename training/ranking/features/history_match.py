"""Hard search: occurrences of the candidate's track and artist in the user's histories, and their outcomes.

Like attention, it reads the history from the candidate's point of view, but by exact match and so over thousands of
events: the first stage (hard search) of SIM, Pi et al. 2020, "Search-based User Interest Modeling with Lifelong
Sequential Behavior Data", 2006.05639. Differs: matches are aggregated to counts, ages and last outcomes instead of
attended to.

The same code offline and online. Each row is computed from its own candidate alone. Shape letters: B requests,
C candidates, R = B·C pairs of them, L events, P occurrences, M match features, W wanted candidates, V vocabulary.
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
    """One sequence of a user batch, prepared for matching; invalid positions have track and artist -1."""

    track_BL: Array
    artist_BL: Array
    ended_at_BL: Array
    length_B: Array

    @classmethod
    def from_events(cls, track_BL: Array, artist_V1: Array, ended_at_BL: Array, mask_BL: Array) -> History:
        """Return the history; masked events and unknown tracks or artists match no candidate.

        `artist_V1` is the result of `artist_lookup`.
        """
        is_known_BL = mask_BL & (track_BL > 1) & (track_BL < len(artist_V1) - 1)
        known_BL = np.where(is_known_BL, track_BL, -1).astype(np.int32)
        return cls(known_BL, artist_V1.take(known_BL, mode="wrap"), ended_at_BL, mask_BL.sum(1))


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
    """All occurrences of B·C candidates in their user's history, candidate by candidate, oldest first.

    Equal candidates of one request (the same artist) share the row of the first of them: `row_BC`.
    """

    row_BC: Array
    user_P: Array
    row_P: Array
    position_P: Array
    end_R: Array
    count_R: Array

    @classmethod
    def find(cls, history_BL: Array, wanted_BC: Array) -> Matches:
        """Return the occurrences of each candidate in a history; a negative candidate has none."""
        B, C = wanted_BC.shape
        row_BC = np.arange(B * C).reshape(B, C)
        if C == 1:
            user_P, position_P = np.nonzero((history_BL == wanted_BC) & (wanted_BC >= 0))
            row_P = user_P
        else:
            # A lookup table of candidates, read once per event: cheaper than comparing all events with all candidates.
            table = np.full(max(history_BL.max(initial=0), wanted_BC.max(initial=0)) + 2, -1)
            parts_by_request = []
            for b, (history_L, wanted_C) in enumerate(zip(history_BL, wanted_BC, strict=True)):
                place_W = np.flatnonzero(wanted_C >= 0)[::-1]  # reversed: of equal candidates the first is written last
                wanted_W = wanted_C[place_W]
                table[wanted_W] = row_BC[b, place_W]
                row_BC[b, place_W] = table[wanted_W]
                row_L = table[history_L]  # an unknown event, -1, reads the last entry of the table
                position = np.flatnonzero(row_L >= 0)
                position = position[np.argsort(row_L[position], kind="stable")]
                parts_by_request.append((np.full(len(position), b), row_L[position], position))
                table[wanted_W] = -1
            empty = np.zeros(0, dtype=np.int64)
            user_P, row_P, position_P = (
                np.concatenate([empty, *parts]) for parts in zip(*parts_by_request, strict=True)
            )
        count_R = np.bincount(row_P, minlength=B * C)
        return cls(row_BC, user_P, row_P, position_P, np.cumsum(count_R), count_R)

    def sum_events(self, values_BL: Array) -> Array:
        """Return the sum of event values over the occurrences of each candidate [B, C]."""
        return self.sum_occurrences(values_BL[self.user_P, self.position_P])

    def sum_occurrences(self, values_P: Array) -> Array:
        """Return the sum of occurrence values over the occurrences of each candidate [B, C]."""
        return np.bincount(self.row_P, weights=values_P, minlength=len(self.count_R))[self.row_BC]

    def kth_newest_value(self, values_BL: Array, otherwise: float, k: int = 1) -> Array:
        """Return the value at the k-th newest occurrence [B, C], `otherwise` if there are fewer."""
        found_R = np.full(len(self.count_R), otherwise, dtype=np.float64)
        has_R = np.flatnonzero(self.count_R >= k)
        newest = self.end_R[has_R] - k
        found_R[has_R] = values_BL[self.user_P[newest], self.position_P[newest]]
        return found_R[self.row_BC]

    def weighted_listen_rate(self, weights_P: Array, listened_P: Array) -> list[Array]:
        """Return two columns [B, C]: log2(1 + weight of the occurrences), and the share of listens by weight."""
        total_BC, listens_BC = self.sum_occurrences(weights_P), self.sum_occurrences(weights_P * listened_P)
        return [np.log2(1 + total_BC), smoothed_listen_rate(listens_BC, total_BC - listens_BC)]

    @property
    def recency_rank_P(self) -> Array:
        """Number of later occurrences of the same candidate: 0 for its newest."""
        return self.end_R[self.row_P] - 1 - np.arange(len(self.row_P))

    @property
    def count_BC(self) -> Array:
        """Number of occurrences."""
        return self.count_R[self.row_BC]

    @property
    def last_position_BC(self) -> Array:
        """Position of the newest occurrence, -1 if there is none."""
        last_R = np.full(len(self.count_R), -1)
        has_R = np.flatnonzero(self.count_R)
        last_R[has_R] = self.position_P[self.end_R[has_R] - 1]
        return last_R[self.row_BC]


@dataclass(frozen=True)
class SuccessorEvents:
    """Events that followed earlier occurrences of the newest track (or artist) of a history.

    Music is often played in an order in which it was played before: an album, a playlist. `is_successor_BL`: events
    right after an occurrence of the newest track; `previous_position_B`: its occurrence before the newest, -1 if there
    is none.
    """

    is_successor_BL: Array
    previous_position_B: Array

    @classmethod
    def from_history(cls, history_BL: Array, length_B: Array) -> SuccessorEvents:
        """Return the successors in one sequence, whose values are -1 where the track (or artist) is unknown."""
        newest_B1 = np.maximum(length_B - 1, 0)[:, None]
        wanted_B1 = np.take_along_axis(history_BL, newest_B1, axis=1)
        same_BL = (history_BL == wanted_B1) & (wanted_B1 >= 0)
        is_successor_BL = np.zeros_like(same_BL)
        is_successor_BL[:, 1:] = same_BL[:, :-1]
        np.put_along_axis(same_BL, newest_B1, False, axis=1)
        position_B = history_BL.shape[1] - 1 - same_BL[:, ::-1].argmax(axis=1)
        return cls(is_successor_BL, np.where(same_BL.any(axis=1), position_B, -1))


def log_age(ended_at_BC: Array, request_at_B: Array) -> Array:
    """Return log2(1 + minutes since a time) [B, C]; a time of 0 (never) counts as 100 years ago."""
    age = np.where(ended_at_BC > 0, request_at_B[:, None] - ended_at_BC, NEVER_US)
    return np.log2(1 + np.maximum(age, 0) / (60 * SECOND_US))


def smoothed_listen_rate(listens: Array, skips: Array) -> Array:
    """Return the share of listens among plays, shrunk to 0.7 where there are few."""
    rate: Array = (listens + 0.7) / (listens + skips + 1)
    return rate


TrackArtistMatches = tuple[Matches, Matches]
"""Occurrences of the candidates' tracks and of their artists in one history."""


def match_history(history: History, track_BC: Array, artist_BC: Array) -> TrackArtistMatches:
    """Return the occurrences of tracks and artists, which all searches share."""
    return Matches.find(history.track_BL, track_BC), Matches.find(history.artist_BL, artist_BC)


def encode_play_matches(
    history: History, outcomes: Outcomes, matches: TrackArtistMatches, request_at_B: Array
) -> list[Array]:
    """Return the outcomes of track and artist in a long history of plays: PLAY_MATCH_FEATURES columns for each.

    Number of plays and share of listens; number among the RECENT_PLAYS newest, and whether it was the newest; outcomes,
    ages and played ratios of its last plays; number of plays and share of listens in this session; and succession to
    the newest play: number, share of listens, the distance in plays between the last earlier occurrence of the newest
    play and its own last play (signed log2; MISSING_DISTANCE if either is missing), and whether it was the last
    successor.
    """
    listened_BL, skipped_BL = outcomes.outcome_BL > 0, outcomes.outcome_BL < 0
    is_new_BL = np.arange(history.track_BL.shape[1]) >= history.length_B[:, None] - RECENT_PLAYS
    columns: list[Array] = []
    for values_BL, match in zip((history.track_BL, history.artist_BL), matches, strict=True):
        successors = SuccessorEvents.from_history(values_BL, history.length_B)
        last_BC, previous_B1 = match.last_position_BC, successors.previous_position_B[:, None]
        has_no_distance_BC, distance_BC = (last_BC < 0) | (previous_B1 < 0), last_BC - previous_B1
        after_BL, session_BL = successors.is_successor_BL, outcomes.in_session_BL
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
            np.where(has_no_distance_BC, MISSING_DISTANCE, np.sign(distance_BC) * np.log2(1 + np.abs(distance_BC))),
            is_last_successor(history, match, successors),
        ]
    return columns


def is_last_successor(history: History, match: Matches, successors: SuccessorEvents) -> Array:
    """Return whether the candidate came right after the last earlier occurrence of the newest play [B, C]."""
    L = history.track_BL.shape[1]
    previous_B = successors.previous_position_B
    next_B = np.where(previous_B >= 0, np.minimum(previous_B + 1, L - 1), -1)
    is_successor_BC: Array = match.sum_occurrences(match.position_P == next_B[match.user_P]) > 0
    return is_successor_BC


def encode_event_matches(history: History, matches: TrackArtistMatches, request_at_B: Array) -> list[Array]:
    """Return number and age of the occurrences of track and artist: EVENT_MATCH_FEATURES columns for each."""
    columns: list[Array] = []
    for match in matches:
        columns += [np.log2(1 + match.count_BC), log_age(match.kth_newest_value(history.ended_at_BL, 0), request_at_B)]
    return columns
