"""How a track did with everybody, as known before a time.

Offline it holds one row a track and day with activity; a release holds the newest row of each track. The look-up is the
same code. Knows nothing about users.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

COUNTS = ("plays_total", "listens_total", "full_plays_total", "skips_total", "plays_7d", "plays_28d")
DAY_US = 86_400_000_000
DAY_BITS = 20
FILE = "track_statistics.parquet"

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TrackStatistics:
    """Rows by track, then day: `key_R` packs (vocabulary index, day since 1970 at whose midnight it was known)."""

    key_R: Ints
    counts_RS: NDArray[np.float32]

    @classmethod
    def build(cls, rows: pl.DataFrame, items_R: Ints) -> TrackStatistics:
        """From the mart `track_statistics` and the vocabulary index of each row; unknown tracks are left out."""
        day_R = rows["known_at"].dt.epoch("d").to_numpy().astype(np.int64)
        key_R = (items_R << DAY_BITS) | day_R
        order = np.argsort(key_R, kind="stable")
        order = order[items_R[order] > 1]
        return cls(key_R=key_R[order], counts_RS=rows.select(COUNTS).to_numpy().astype(np.float32)[order])

    def lookup_before(self, items_BC: Ints, time_B: Ints) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Counts [B, C, S] of each candidate's newest row known before the time (µs UTC), and that row's age in days
        [B, C].

        Without such a row the counts are 0 and the age is -1.
        """
        if len(self.key_R) == 0:
            return np.zeros((*items_BC.shape, len(COUNTS)), np.float32), np.full(items_BC.shape, -1, np.float32)
        next_day_B1 = -(-time_B[:, None] // DAY_US)
        row_BC = np.searchsorted(self.key_R, (items_BC << DAY_BITS) | next_day_B1, side="left") - 1
        row_BC = np.maximum(row_BC, 0)
        key_BC = self.key_R[row_BC]
        day_BC = key_BC & ((1 << DAY_BITS) - 1)
        found_BC = (key_BC >> DAY_BITS == items_BC) & (day_BC < next_day_B1)
        age_BC = np.where(found_BC, time_B[:, None] / DAY_US - day_BC, -1).astype(np.float32)
        return np.where(found_BC[..., None], self.counts_RS[row_BC], np.float32(0)), age_BC

    def newest_per_track(self) -> TrackStatistics:
        """Only the newest row of each track: what a release needs."""
        item_R = self.key_R >> DAY_BITS
        last_R = np.append(item_R[1:] != item_R[:-1], True) if len(item_R) else np.zeros(0, bool)
        return TrackStatistics(self.key_R[last_R], self.counts_RS[last_R])

    def save(self, folder: Path) -> None:
        """Write one Parquet file."""
        columns = {"key": self.key_R} | {name: self.counts_RS[:, s] for s, name in enumerate(COUNTS)}
        pl.DataFrame(columns).write_parquet(folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> TrackStatistics:
        """What `save` wrote."""
        rows = pl.read_parquet(folder / FILE)
        return cls(rows["key"].to_numpy(), rows.select(COUNTS).to_numpy().astype(np.float32))
