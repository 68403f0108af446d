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
import polars as pl
import pyarrow as pa

from training.data.plays import PARTS
from training.data.training_data import TrainingData

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
    def of(cls, data: TrainingData, max_items: int) -> UserItemHistory:
        """The newest `max_items` first plays of each user in `train`."""
        plays = data.plays
        is_first = data.first_play_row_P == np.arange(len(plays))
        rows = np.flatnonzero(is_first & (plays.part_P == PARTS.index("train")))
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
        columns = [
            pl.Series("user_id", list(self.user_ids), dtype=pl.String),
            _lists("item", self.item_F, self.offset_U1),
            _lists("known_at", self.known_at_F, self.offset_U1),
        ]
        pl.DataFrame(columns).write_parquet(folder / HISTORY_FILE)

    @classmethod
    def load(cls, folder: Path) -> UserItemHistory:
        """The histories that `save` wrote."""
        rows = pl.read_parquet(folder / HISTORY_FILE)
        offset = np.concatenate([[0], np.cumsum(rows["item"].list.len().to_numpy())]).astype(np.int64)
        item, known_at = (rows[name].explode(empty_as_null=False).to_numpy() for name in ("item", "known_at"))
        return cls(tuple(rows["user_id"].to_list()), offset, item.astype(np.int32), known_at.astype(np.int64))


def _lists(name: str, values: np.ndarray, offset_U1: np.ndarray) -> pl.Series:
    """One list per user. Built from offsets, because polars turns arrays of equal length into another type than lists."""
    return pl.Series(name, pa.LargeListArray.from_arrays(pa.array(offset_U1), pa.array(values)))
