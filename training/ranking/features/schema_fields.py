"""Columns that rankers read without code of their own: user features of Feast, and track statistics of the mart.

The columns that `user_features.py` and `track_statistics.py` encode by name come first in the dense features. Each
further numeric user feature of the ranker's feature service (a mart column and a Feast `Field`) and each further
numeric column of the mart `track_statistics` follows, in the order of the schema, as signed log2. The fit stores their
names in the config (`features.profile_fields`, `features.statistics_fields`), so a fitted ranker keeps its inputs when
the schema grows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.feature_services import ServiceContract
from training.data.training_data import TrainingData
from training.ranking.features.track_statistics import COUNTS, TrackStatistics
from training.ranking.features.user_features import PROFILE, PROFILE_VIEW

EXCLUDED_STATISTICS = ("likes_total",)
"""Columns of the mart that rankers do not read: likes are a task that they predict."""


def signed_log2(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return sign(x) · log2(1 + |x|), float32: compresses counts, and keeps the sign of other numbers."""
    compressed: NDArray[np.float32] = (np.sign(values) * np.log2(1 + np.abs(values))).astype(np.float32)
    return compressed


def further_profile_fields(contract: ServiceContract) -> tuple[str, ...]:
    """Return the user features of a service that `compute_user_features` does not encode, as `view__field`."""
    encoded = {f"{PROFILE_VIEW}__{name}" for name in PROFILE}
    names = (feature.replace(":", "__") for feature in contract.features)
    return tuple(name for name in names if name not in encoded)


def further_statistics_fields(schema: pl.Schema) -> tuple[str, ...]:
    """Return the numeric columns of the mart `track_statistics` that `encode_track_statistics` does not encode."""
    excluded = {*COUNTS, *EXCLUDED_STATISTICS}
    return tuple(name for name, dtype in schema.items() if dtype.is_numeric() and name not in excluded)


def load_track_statistics(data: TrainingData) -> TrackStatistics:
    """Return the mart by vocabulary index, with all columns that rankers read."""
    rows = pl.read_parquet(data.marts / "track_statistics.parquet")
    further = further_statistics_fields(rows.schema)
    return TrackStatistics.build(rows, data.vocabulary.encode(rows["track_id"].to_list()), further)
