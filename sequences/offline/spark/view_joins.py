"""Sequences of many (user, time) rows, cut by Spark: every user's events meet the user's rows in one worker.

The cutting itself is `offline_sequences.py`, the same as on one machine. Cost grows with events + rows × L, spread over
the workers; a worker holds one user's events at a time. Knows nothing about Feast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from sequences.offline.latest import latest_from_reader
from sequences.offline.list_reader import ListReader, list_types
from sequences.offline.point_in_time_join import ROW, TIME
from sequences.timeline import microseconds
from sequences.views import SequenceView

USER = "__user"


def join_sequence_view(
    entities: DataFrame,
    user_column: str,
    path: str,
    view: SequenceView,
    names: dict[str, str],
    time_to_live: timedelta | None,
) -> DataFrame:
    """`ROW` and one list a feature (feature ▸ column): the user's last L events with `known_at < TIME`, oldest first."""
    asked = entities.select(ROW, TIME, F.col("`" + user_column + "`").cast("string").alias(USER))
    events = read_view_events(entities.sparkSession, path, view, list(names))
    events = events.join(asked.select(USER).distinct(), events["user_id"] == F.col(USER), "left_semi")
    schema = pa.schema([(ROW, pa.int64()), *zip(names.values(), list_types(list(names)), strict=True)])
    return (
        asked.groupBy(USER)
        .cogroup(events.groupBy("user_id"))
        .applyInArrow(_make_user_join(view, list(names), time_to_live, schema, path), from_arrow_schema(schema))
    )


def read_latest_sequences(
    session: SparkSession, path: str, view: SequenceView, features: Sequence[str], as_of_us: int
) -> DataFrame:
    """One row a user with events before `as_of_us` (µs UTC): user_id, known_at of the newest, a list a feature."""
    names = list(features)
    schema = pa.schema(
        [("user_id", pa.string()), ("known_at", pa.timestamp("us")), *zip(names, list_types(names), strict=True)]
    )

    def newest_of_user(events: pa.Table) -> pa.Table:
        return latest_from_reader(ListReader(_sorted_batches(events), view, names, source=path), as_of_us).cast(schema)

    events = read_view_events(session, path, view, names)
    return events.groupBy("user_id").applyInArrow(newest_of_user, from_arrow_schema(schema))


def read_view_events(session: SparkSession, path: str, view: SequenceView, features: Sequence[str]) -> DataFrame:
    """The view's events with `user_id`, `known_at` and the features, in any order."""
    events = session.read.parquet(path).where(F.col("behaviour").isin(*view.behaviours))
    if view.target_types:
        events = events.where(F.col("target_type").isin(*view.target_types))
    return events.select(*dict.fromkeys(["user_id", "known_at", *features]))


def _make_user_join(
    view: SequenceView, features: list[str], time_to_live: timedelta | None, schema: pa.Schema, path: str
) -> Callable[[pa.Table, pa.Table], pa.Table]:
    def cut_of_user(rows: pa.Table, events: pa.Table) -> pa.Table:
        reader = ListReader(_sorted_batches(events), view, features, time_to_live, path)
        times_us_B = microseconds(rows[TIME].combine_chunks())
        # All rows and all events are of one user.
        index_B = np.full(len(rows), 0 if len(events) else -1, dtype=np.int64)
        return pa.table([rows[ROW], *reader.read_at(index_B, times_us_B)], schema=schema)

    return cut_of_user


def _sorted_batches(events: pa.Table) -> list[pa.RecordBatch]:
    """One user's events by time, as a reader of the event table gives them."""
    if not len(events):
        return []
    ordered = events.sort_by("known_at").combine_chunks()
    place = ordered.column_names.index("user_id")
    ordered = ordered.set_column(place, "user_id", ordered["user_id"].cast(pa.string()).dictionary_encode())
    return list(ordered.combine_chunks().to_batches())
