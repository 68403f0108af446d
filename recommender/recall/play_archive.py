"""All plays of each user up to a fit: those that are older than what a request's history view holds.

A history view has a maximum length. Users with more plays return to tracks that they played before its first event, so
a channel that recommends repeats keeps older plays with the model, and one that recommends discoveries would offer old tracks
as new. A request reads them up to its own time. Stored as one Parquet file with a row per user, so that erasure finds them.

Legend: U users, P plays of all users, N plays of one user.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from recommender.user.user_batch import HISTORY_VIEW, UserBatch, full_history_begin, has_behavior, is_listened
from sequences.sessions import begins_session, sessionize

ARCHIVE_FILE = "past_plays.parquet"
SKIPPED, LISTENED, FULL_PLAY = 0, 1, 2
"""Outcomes of a play."""
SAME_TIME_US = 1_000_000
"""Plays that end within this time count as simultaneous. Logs with times in seconds or minutes have many equal ones, which
`known_at` separates by less.
"""


@dataclass(frozen=True)
class PastPlays:
    """All plays of one user before a request, oldest first."""

    track_N: np.ndarray
    ended_at_N: np.ndarray  # µs UTC
    outcome_N: np.ndarray  # int8
    session_N: np.ndarray  # number of each play's session, ascending


@dataclass(frozen=True)
class PlayArchive:
    """Plays by user and time; user u has `offset_U1[u]:offset_U1[u + 1]`."""

    user_ids: tuple[str, ...]
    offset_U1: np.ndarray
    track_P: np.ndarray  # int32
    known_at_P: np.ndarray  # µs UTC, ascending within a user
    outcome_P: np.ndarray  # int8
    session_P: np.ndarray  # int32, number of the user's first play in the same session

    def newest(self, max_plays: int) -> PlayArchive:
        """The newest `max_plays` plays of each user."""
        end_P = np.repeat(self.offset_U1[1:], np.diff(self.offset_U1))
        return self._take(np.flatnonzero(end_P - np.arange(len(self.track_P)) <= max_plays))

    def first_plays(self) -> PlayArchive:
        """The first play of each track by each user."""
        user_P = np.repeat(np.arange(len(self.user_ids)), np.diff(self.offset_U1))
        key_P = user_P * np.int64(self.track_P.max(initial=0) + 1) + self.track_P
        return self._take(np.sort(np.unique(key_P, return_index=True)[1]))

    def _take(self, rows: np.ndarray) -> PlayArchive:
        """These plays, in order."""
        columns = self.track_P, self.known_at_P, self.outcome_P, self.session_P
        offset_U1 = np.searchsorted(rows, self.offset_U1)
        return PlayArchive(self.user_ids, offset_U1, *(column_P[rows] for column_P in columns))

    def tracks_before(self, user_id: str, time_us: int) -> np.ndarray:
        """Tracks that the user had played before a time (µs); empty for an unknown user."""
        number = self._number_of_user.get(user_id)
        if number is None:
            return self.track_P[:0]
        own = slice(self.offset_U1[number], self.offset_U1[number + 1])
        return self.track_P[own][self.known_at_P[own] < time_us]

    @cached_property
    def _number_of_user(self) -> dict[str, int]:
        return {user: number for number, user in enumerate(self.user_ids)}

    def past_plays(self, users: UserBatch, max_plays: int) -> Iterator[PastPlays]:
        """For each request: the newest plays of its user, first from the archive, then from the history view.

        The archive is read if the view is full, or was before the user left plays out; otherwise the view has all plays.
        """
        begin_B = users.left_out_begin_B if len(users.left_out_begin_B) else full_history_begin(users.views)
        began_at_BL = users.views[HISTORY_VIEW].columns["occurred_at"]
        for row, (user_id, viewed) in enumerate(zip(users.user_ids, plays_in_view(users), strict=True)):
            if begin_B[row]:
                began_at_N = began_at_BL[row, : len(viewed.track_N)]
                yield self._with_older(user_id, viewed, int(begin_B[row]), began_at_N, max_plays)
            else:
                yield viewed

    def _with_older(
        self, user_id: str, plays: PastPlays, begin: int, began_at_N: np.ndarray, max_plays: int
    ) -> PastPlays:
        number = self._number_of_user.get(user_id)
        if number is None:
            return plays
        first, end = self.offset_U1[number : number + 2].tolist()
        older, same = np.searchsorted(self.known_at_P[first:end], (begin, begin + SAME_TIME_US)).tolist()
        # The oldest play of the view may be one of several that ended at its time, which the view has only in part.
        in_view = int((plays.ended_at_N < begin + SAME_TIME_US).sum())
        end = first + max(older, same - in_view)
        first = max(first, end - max(max_plays - len(plays.track_N), 0))
        ended_at_N = np.minimum(self.known_at_P[first:end], begin)
        session_N = self.session_P[first:end].astype(np.int64)
        is_new = begins_session(began_at_N[:1], plays.ended_at_N[:1], ended_at_N[-1:]).any()
        return PastPlays(
            np.concatenate([self.track_P[first:end], plays.track_N]),
            np.concatenate([ended_at_N, plays.ended_at_N]),
            np.concatenate([self.outcome_P[first:end], plays.outcome_N]),
            np.concatenate([session_N - session_N[-1:], plays.session_N - 1 + is_new]),
        )

    def save(self, folder: Path) -> None:
        """Write a Parquet file with one row per user."""
        columns = {
            "track": self.track_P,
            "known_at": self.known_at_P,
            "outcome": self.outcome_P,
            "session": self.session_P,
        }
        # Built from offsets, because polars turns arrays of equal length into another type than lists.
        lists = [
            pl.Series(name, pa.LargeListArray.from_arrays(pa.array(self.offset_U1), pa.array(values_P)))
            for name, values_P in columns.items()
        ]
        rows = pl.DataFrame([pl.Series("user_id", list(self.user_ids), dtype=pl.String), *lists])
        rows.write_parquet(folder / ARCHIVE_FILE)

    @classmethod
    def load(cls, folder: Path) -> PlayArchive:
        """The archive that `save` wrote."""
        rows = pl.read_parquet(folder / ARCHIVE_FILE)
        offset_U1 = np.concatenate([[0], np.cumsum(rows["track"].list.len().to_numpy())]).astype(np.int64)
        types = {"track": np.int32, "known_at": np.int64, "outcome": np.int8, "session": np.int32}
        columns = [rows[name].explode(empty_as_null=False).to_numpy().astype(kind) for name, kind in types.items()]
        return cls(tuple(rows["user_id"].to_list()), offset_U1, *columns)


def plays_in_view(users: UserBatch) -> Iterator[PastPlays]:
    """For each request: the plays of the history view."""
    history = users.views[HISTORY_VIEW]
    outcome_BL = is_listened(history).astype(np.int8)
    outcome_BL[has_behavior(history, ("full_play",))] = FULL_PLAY
    columns = history.columns["track_id"], history.columns["ended_at"], outcome_BL, sessionize(history)
    for row, count in enumerate(history.length_B.tolist()):
        yield PastPlays(*(column_BL[row, :count] for column_BL in columns))
