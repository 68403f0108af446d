"""Track statistics of the marts."""

from __future__ import annotations

import polars as pl

from recommender.ranking.features.track_statistics import TrackStatistics, further_statistics_fields
from training.data.training_data import TrainingData


def load_track_statistics(data: TrainingData) -> TrackStatistics:
    """Return the mart by vocabulary index, with all columns that rankers read."""
    rows = pl.read_parquet(data.marts / "track_statistics.parquet")
    further = further_statistics_fields(rows.schema)
    return TrackStatistics.build(rows, data.vocabulary.encode(rows["track_id"].to_list()), further)
