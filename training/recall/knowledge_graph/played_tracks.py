"""Tracks that each user has played, with the time of the first play, to exclude them from discoveries.

Sequence views have a maximum length, so a user with ten thousand songs would otherwise be offered old songs as new.
Plays of any duration count.

Legend: U users, F first plays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from training.data.plays import PARTS
from training.data.training_data import TrainingData
from training.recall.play_archive import read_user_lists, write_user_lists

HISTORY_FILE = "heard.parquet"


@dataclass(frozen=True)
class UserItemHistory:
    """First plays by user and time: `item_F`, known at `known_at_F` (µs); those of user u are `offset_U1[u]:offset_U1[u
    + 1]`.
    """

    user_ids: tuple[str, ...]
    offset_U1: np.ndarray
    item_F: np.ndarray
    known_at_F: np.ndarray

    @classmethod
    def of(cls, data: TrainingData, max_items: int, parts: tuple[str, ...] = ("train",)) -> UserItemHistory:
        """The newest `max_items` first plays of each user in some parts of the data."""
        plays = data.plays
        is_first = data.first_play_row_P == np.arange(len(plays))
        rows = np.flatnonzero(is_first & np.isin(plays.part_P, [PARTS.index(part) for part in parts]))
        users = len(data.user_ids_U)
        end_U = np.cumsum(np.bincount(plays.user_P[rows], minlength=users))
        rows = rows[end_U[plays.user_P[rows]] - np.arange(len(rows)) <= max_items]
        offset = np.concatenate([[0], np.cumsum(np.bincount(plays.user_P[rows], minlength=users))])
        ids = tuple(str(user) for user in data.user_ids_U)
        return cls(ids, offset.astype(np.int64), plays.track_P[rows].astype(np.int32), plays.known_at_P[rows])

    @cached_property
    def _row_of_user(self) -> dict[str, int]:
        return {user: number for number, user in enumerate(self.user_ids)}

    def items_before(self, user_id: str, time_us: int) -> np.ndarray:
        """Items that the user had played before a time (µs); empty for an unknown user."""
        number = self._row_of_user.get(user_id)
        if number is None:
            return np.zeros(0, dtype=np.int32)
        own = slice(self.offset_U1[number], self.offset_U1[number + 1])
        items: np.ndarray = self.item_F[own][self.known_at_F[own] < time_us]
        return items

    def save(self, folder: Path) -> None:
        """Write a Parquet file with one row per user."""
        columns = {"item": self.item_F, "known_at": self.known_at_F}
        write_user_lists(folder / HISTORY_FILE, self.user_ids, self.offset_U1, **columns)

    @classmethod
    def load(cls, folder: Path) -> UserItemHistory:
        """The histories that `save` wrote."""
        user_ids, offset_U1, (item, known_at) = read_user_lists(folder / HISTORY_FILE, "item", "known_at")
        return cls(user_ids, offset_U1, item.astype(np.int32), known_at.astype(np.int64))
