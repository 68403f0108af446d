"""Popularity statistics of tracks, as known before a time, and the candidate features made of them.

Offline there is one row per track and day with activity; a release holds the newest row of each track. The lookup is
the same code. Does not depend on users. Shape letters: B requests, C candidates, R rows, S statistics.

Rankers read further columns without code of their own: each numeric user feature of their feature service (a mart column and a
Feast `Field`) that `user_features.py` does not encode by name, and each numeric column of the mart `track_statistics` that is
not encoded here, after the others, in the order of the schema, as signed log2. The fit stores their names in the config
(`features.profile_fields`, `features.statistics_fields`), so a fitted ranker keeps its inputs when the schema grows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recommender.array_types import Array, Ints
from recommender.ranking.features.user_features import PROFILE, PROFILE_VIEW
from sequences.feature_services import ServiceContract
from sequences.sequence_views import DAY_US

COUNTS = ("plays_total", "listens_total", "full_plays_total", "skips_total", "plays_7d", "plays_28d")
"""Columns that `encode_track_statistics` reads; they come first in `TrackStatistics.names`."""
CANDIDATE_FEATURES = 6 + 1
"""Columns of `encode_track_statistics`, and whether the track is unknown."""
DAY_BITS = 20
FILE = "track_statistics.parquet"


@dataclass(frozen=True)
class TrackStatistics:
    """Rows sorted by track, then day: `key_R` packs vocabulary index and day since 1970 (known from its midnight on).

    `names`: columns of `counts_RS`; COUNTS first, then further columns of the mart.
    """

    key_R: Ints
    counts_RS: NDArray[np.float32]
    names: tuple[str, ...] = COUNTS

    @classmethod
    def build(cls, rows: pl.DataFrame, items_R: Ints, further: tuple[str, ...] = ()) -> TrackStatistics:
        """Return the statistics of the mart `track_statistics`; unknown tracks are dropped, nulls of `further` are 0.

        Args:
            rows: Rows of the mart.
            items_R: Vocabulary index of each row.
            further: Columns that are read in addition to COUNTS.
        """
        day_R = rows["known_at"].dt.epoch("d").to_numpy().astype(np.int64)
        key_R = (items_R << DAY_BITS) | day_R
        order = np.argsort(key_R, kind="stable")
        order = order[items_R[order] > 1]
        columns = rows.select(*COUNTS, *(pl.col(name).cast(pl.Float32).fill_nan(0).fill_null(0) for name in further))
        return cls(key_R[order], columns.to_numpy().astype(np.float32)[order], (*COUNTS, *further))

    def lookup_before(self, items_BC: Ints, time_B: Ints) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the newest row of each candidate that was known before a time (µs UTC).

        Returns:
            Statistics [B, C, S] and the row's age in days [B, C]; 0 and -1 without such a row.
        """
        if len(self.key_R) == 0:
            return np.zeros((*items_BC.shape, len(self.names)), np.float32), np.full(items_BC.shape, -1, np.float32)
        next_day_B1 = -(-time_B[:, None] // DAY_US)
        row_BC = np.searchsorted(self.key_R, (items_BC << DAY_BITS) | next_day_B1, side="left") - 1
        row_BC = np.maximum(row_BC, 0)
        key_BC = self.key_R[row_BC]
        day_BC = key_BC & ((1 << DAY_BITS) - 1)
        found_BC = (key_BC >> DAY_BITS == items_BC) & (day_BC < next_day_B1)
        age_BC = np.where(found_BC, time_B[:, None] / DAY_US - day_BC, -1).astype(np.float32)
        return np.where(found_BC[..., None], self.counts_RS[row_BC], np.float32(0)), age_BC

    def newest_per_track(self) -> TrackStatistics:
        """Return the newest row of each track only: what a release needs."""
        item_R = self.key_R >> DAY_BITS
        last_R = np.append(item_R[1:] != item_R[:-1], True) if len(item_R) else np.zeros(0, bool)
        return TrackStatistics(self.key_R[last_R], self.counts_RS[last_R], self.names)

    def save(self, folder: Path) -> None:
        """Write one Parquet file."""
        columns = {"key": self.key_R} | {name: self.counts_RS[:, s] for s, name in enumerate(self.names)}
        pl.DataFrame(columns).write_parquet(folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> TrackStatistics:
        """Read the file that `save` wrote."""
        rows = pl.read_parquet(folder / FILE)
        names = tuple(name for name in rows.columns if name != "key")
        return cls(rows["key"].to_numpy(), rows.select(names).to_numpy().astype(np.float32), names)


def smoothed_rate(listens_BC: Array, skips_BC: Array, prior: float = 0.7, strength: float = 2) -> Array:
    """Return the share of listens among listens and skips, shrunk to the prior where there are few."""
    return (listens_BC + prior * strength) / (listens_BC + skips_BC + strength)


def encode_track_statistics(counts_BCS: Array, age_BC: Array, feature_BCF: Array) -> None:
    """Write a track's popularity into the first 6 features; the first columns of `counts_BCS` are COUNTS."""
    plays, listens, full_plays, skips = (counts_BCS[..., column] for column in range(4))
    feature_BCF[..., 0] = np.log2(1 + plays)
    feature_BCF[..., 1] = smoothed_rate(listens, skips, strength=5)
    feature_BCF[..., 2] = smoothed_rate(full_plays, plays - full_plays, 0.5, 5)
    feature_BCF[..., 3:5], feature_BCF[..., 5] = np.log2(1 + counts_BCS[..., 4:6]), np.log2(2 + age_BC)


EXCLUDED_STATISTICS = ("likes_total",)
"""Columns of the mart that rankers do not read: likes are a task that they predict."""


def signed_log2(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return sign(x) · log2(1 + |x|), float32: compresses counts, and keeps the sign of other numbers."""
    return (np.sign(values) * np.log2(1 + np.abs(values))).astype(np.float32)


def further_profile_fields(contract: ServiceContract) -> tuple[str, ...]:
    """Return the user features of a service that `compute_user_features` does not encode, as `view__field`."""
    encoded = {f"{PROFILE_VIEW}__{name}" for name in PROFILE}
    names = (feature.replace(":", "__") for feature in contract.features)
    return tuple(name for name in names if name not in encoded)


def further_statistics_fields(schema: pl.Schema) -> tuple[str, ...]:
    """Return the numeric columns of the mart `track_statistics` that `encode_track_statistics` does not encode."""
    excluded = {*COUNTS, *EXCLUDED_STATISTICS}
    return tuple(name for name, dtype in schema.items() if dtype.is_numeric() and name not in excluded)
