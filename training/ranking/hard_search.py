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
MATCH_FEATURES = 12 + 4 + 4

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


def from_history(history: History, track_BC: Array, artist_BC: Array, request_at_B: Array) -> list[Array]:
    """Counts, share and recency of the track and of the artist in a long history of one kind of event."""
    columns: list[Array] = []
    for values_BL, wanted_BC in ((history.track_BL, track_BC), (history.artist_BL, artist_BC)):
        match = Match.of(values_BL, wanted_BC)
        columns += [np.log2(1 + match.count_BC), log_age(match.at_last(history.ended_at_BL, 0), request_at_B)]
    return columns
