"""Hard search: where a candidate's own track and artist occur in the user's histories, and what came of them.

A view of the history that depends on the candidate, as attention is, but by exact match and so over thousands of
events: the first stage of Pi et al. 2020, "Search-based User Interest Modeling with Lifelong Sequential Behavior Data",
2006.05639. Differs: what is found is summed up in counts, ages and last outcomes rather than attended to.

Shape letters: B requests, C candidates, L events, M match features. The same code offline and online. Every row is
computed from its own candidate alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.ranking.user_features import DAY_US, SECOND_US

NEVER_US = 100 * 365 * DAY_US
NO_STRIDE = 16.0
MATCH_FEATURES = 12 + 8 + 4

Array = NDArray[Any]


@dataclass(frozen=True)
class History:
    """One sequence of a user batch with what matching needs; invalid positions have track and artist -1."""

    track_BL: Array
    artist_BL: Array
    ended_at_BL: Array
    length_B: Array

    @classmethod
    def of(cls, track_BL: Array, artist_of_track_V: Array, ended_at_BL: Array, mask_BL: Array) -> History:
        """Events that are masked, or whose track or artist nobody knows, match no candidate."""
        in_range_BL = np.where(track_BL < len(artist_of_track_V), track_BL, 1)
        artist_BL = artist_of_track_V[in_range_BL]
        return cls(
            track_BL=np.where(mask_BL & (in_range_BL > 1), in_range_BL, -1).astype(np.int32),
            artist_BL=np.where(mask_BL & (artist_BL > 1), artist_BL, -1).astype(np.int32),
            ended_at_BL=ended_at_BL,
            length_B=mask_BL.sum(1),
        )


@dataclass(frozen=True)
class Match:
    """Where in a history a candidate occurs."""

    match_BCL: Array
    count_BC: Array
    last_BC: Array

    @classmethod
    def of(cls, history_BL: Array, wanted_BC: Array) -> Match:
        """`last_BC` is the position of the newest occurrence, -1 where there is none."""
        match_BCL = history_BL[:, None, :] == wanted_BC[:, :, None]
        count_BC = np.count_nonzero(match_BCL, axis=2)
        newest_BC = match_BCL.shape[2] - 1 - match_BCL[:, :, ::-1].argmax(axis=2)
        return cls(match_BCL, count_BC, np.where(count_BC > 0, newest_BC, -1))

    def at_last(self, values_BL: Array, otherwise: float) -> Array:
        """The value at the newest occurrence [B, C]."""
        found_BC = np.take_along_axis(values_BL, np.maximum(self.last_BC, 0), axis=1)
        return np.where(self.last_BC >= 0, found_BC, otherwise)

    def count_where(self, flag_BL: Array) -> Array:
        """Occurrences at which the flag is set [B, C]."""
        count_BC: Array = np.count_nonzero(self.match_BCL & flag_BL[:, None, :], axis=2)
        return count_BC


@dataclass(frozen=True)
class Following:
    """What came next, in a history, the other times that its newest track (or artist) occurred.

    Music is often heard in an order that was heard before: an album, a playlist. `after_BL`: events right after an
    occurrence of the newest; `place_B`: the occurrence before the newest, -1 where there is none.
    """

    after_BL: Array
    place_B: Array

    @classmethod
    def of(cls, history_BL: Array, length_B: Array) -> Following:
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


def from_recent(
    history: History, outcomes_BL: tuple[Array, Array], track_BC: Array, artist_BC: Array, request_at_B: Array
) -> list[Array]:
    """What came of the track and of the artist in the recent events, how often and when, and whether they were last."""
    outcome_BL, ratio_BL = outcomes_BL
    columns: list[Array] = []
    for values_BL, wanted_BC in ((history.track_BL, track_BC), (history.artist_BL, artist_BC)):
        match = Match.of(values_BL, wanted_BC)
        listens_BC, skips_BC = match.count_where(outcome_BL > 0), match.count_where(outcome_BL < 0)
        columns += [
            np.log2(1 + match.count_BC),
            (listens_BC + 0.7) / (listens_BC + skips_BC + 1),
            match.at_last(outcome_BL, 0),
            match.at_last(ratio_BL, -1),
            log_age(match.at_last(history.ended_at_BL, 0), request_at_B),
            (match.last_BC >= 0) & (match.last_BC == history.length_B[:, None] - 1),
        ]
    return columns


def from_history(
    history: History, track_BC: Array, artist_BC: Array, request_at_B: Array, in_order: bool = False
) -> list[Array]:
    """Counts and recency of the track and of the artist in a long history of one kind of event.

    `in_order` adds, for both, how often it came right after the newest one, and how many events lay between the last
    time of the newest and its own last time (signed log2; NO_STRIDE where either is missing).
    """
    columns: list[Array] = []
    for values_BL, wanted_BC in ((history.track_BL, track_BC), (history.artist_BL, artist_BC)):
        match = Match.of(values_BL, wanted_BC)
        columns += [np.log2(1 + match.count_BC), log_age(match.at_last(history.ended_at_BL, 0), request_at_B)]
        if in_order:
            following = Following.of(values_BL, history.length_B)
            place_B1 = following.place_B[:, None]
            stride_BC = match.last_BC - place_B1
            stride_BC = np.where((match.last_BC < 0) | (place_B1 < 0), np.nan, stride_BC)
            columns.append(np.log2(1 + match.count_where(following.after_BL)))
            columns.append(np.nan_to_num(np.sign(stride_BC) * np.log2(1 + np.abs(stride_BC)), nan=NO_STRIDE))
    return columns
