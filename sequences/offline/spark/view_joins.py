"""Joins of feature views to entity rows on Spark: sequence views and ordinary views.

Sequences: each user's events and entity rows are grouped in one worker and read with `ListReader`, as on a single machine.
The cost is proportional to events + rows × L, distributed over the workers; a worker holds one user's events at a time.
Ordinary views: the point-in-time join with the semantics of `sequences/offline/point_in_time_join.py`. Legend: e entity
rows, f feature rows. Independent of Feast.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import reduce

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from sequences.offline.list_reader import ListReader, latest_from_reader, list_types
from sequences.offline.point_in_time_join import MAX_WHOLE, ROW, TIME, OrdinaryView
from sequences.sequence_views import SequenceView
from sequences.timeline import microseconds

USER = "__user"
NEWEST, AT, CREATED = "__newest", "__at", "__created"


def join_sequence_view(
    entities: DataFrame,
    user_column: str,
    path: str,
    view: SequenceView,
    names: dict[str, str],
    time_to_live: timedelta | None,
) -> DataFrame:
    """The user's last L events with `known_at < TIME`, oldest first.

    Args:
        entities: Entity rows with `ROW` and `TIME`.
        user_column: Their column of user ids.
        path: The event table.
        view: The sequence view.
        names: feature ▸ column of the result.
        time_to_live: Older events are left out; zero or None keeps all.

    Returns:
        `ROW` and one list column per feature, for the rows with a time.
    """
    requests = entities.select(ROW, TIME, key_text(entities, user_column).alias(USER)).where(F.col(TIME).isNotNull())
    events = read_view_events(entities.sparkSession, path, view, list(names))
    events = events.join(requests.select(USER).distinct(), events["user_id"] == F.col(USER), "left_semi")
    schema = pa.schema([(ROW, pa.int64()), *zip(names.values(), list_types(list(names)), strict=True)])

    def join_user(rows: pa.Table, events: pa.Table) -> pa.Table:
        reader = ListReader(_sorted_batches(events), view, list(names), time_to_live, path)
        # All rows and events belong to one user.
        index_B = np.full(len(rows), 0 if len(events) else -1, dtype=np.int64)
        return pa.table([rows[ROW], *reader.read_at(index_B, microseconds(rows[TIME].combine_chunks()))], schema=schema)

    joined = requests.groupBy(USER).cogroup(events.groupBy("user_id"))
    return joined.applyInArrow(join_user, from_arrow_schema(schema))


def read_latest_sequences(
    session: SparkSession, path: str, view: SequenceView, features: Sequence[str], as_of_us: int
) -> DataFrame:
    """One row per user with events before `as_of_us` (µs UTC): user_id, known_at of the newest event, feature lists."""
    names = list(features)
    schema = pa.schema(
        [("user_id", pa.string()), ("known_at", pa.timestamp("us")), *zip(names, list_types(names), strict=True)]
    )

    def newest_of_user(events: pa.Table) -> pa.Table:
        return latest_from_reader(ListReader(_sorted_batches(events), view, names, source=path), as_of_us).cast(schema)

    events = read_view_events(session, path, view, names)
    return events.groupBy("user_id").applyInArrow(newest_of_user, from_arrow_schema(schema))


def read_view_events(session: SparkSession, path: str, view: SequenceView, features: Sequence[str]) -> DataFrame:
    """The view's events with `user_id`, `known_at` and the features, unordered."""
    events = session.read.parquet(path).where(F.col("behavior").isin(*view.behaviors))
    if view.target_types:
        events = events.where(F.col("target_type").isin(*view.target_types))
    return events.select(*dict.fromkeys(["user_id", "known_at", *features]))


def _sorted_batches(events: pa.Table) -> list[pa.RecordBatch]:
    """One user's events sorted by time, in the format of `read_view`."""
    if not len(events):
        return []
    ordered = events.sort_by("known_at").combine_chunks()
    place = ordered.column_names.index("user_id")
    ordered = ordered.set_column(place, "user_id", ordered["user_id"].cast(pa.string()).dictionary_encode())
    return list(ordered.combine_chunks().to_batches())


def join_ordinary_view(entities: DataFrame, view: OrdinaryView, by_created: bool = False) -> DataFrame:
    """The view's features with `ROW`: one row per entity row that has a feature row, unordered.

    Raises:
        ValueError: A time column of the file does not contain times.
    """
    keys = [key_text(entities, column).alias(column) for column in dict.fromkeys(view.keys.values())]
    e = entities.select(ROW, TIME, *keys).alias("e")
    f = _feature_rows(entities.sparkSession.read.parquet(view.path), view).alias("f")
    is_known = F.col(f"f.{AT}") <= F.col(f"e.{TIME}")
    if by_created and view.created:
        is_known &= F.col(f"f.{CREATED}") <= F.col(f"e.{TIME}")
    # Compared as text, because data frames may contain numeric ids and the marts contain text.
    key_equalities = [_column(column, "e") == F.col(f"f.__key{n}") for n, column in enumerate(view.keys.values())]
    order = F.struct(f"f.{AT}", f"f.{CREATED}")
    newest = (
        e.join(f, reduce(Column.__and__, [*key_equalities, is_known]))
        .groupBy(f"e.{ROW}", f"e.{TIME}")
        .agg(F.max_by(F.struct("f.*"), order).alias(NEWEST))
    )
    if view.time_to_live:
        lifetime_us = view.time_to_live // timedelta(microseconds=1)
        expires_at = F.col(f"{NEWEST}.{AT}") + F.expr(f"make_dt_interval(0, 0, 0, {lifetime_us / 1e6:.6f})")
        newest = newest.where(expires_at >= F.col(TIME))
    values = [F.col(f"{NEWEST}.__feature{n}").alias(output) for n, output in enumerate(view.features.values())]
    return newest.select(ROW, *values)


def _feature_rows(file: DataFrame, view: OrdinaryView) -> DataFrame:
    keys = [key_text(file, key).alias(f"__key{n}") for n, key in enumerate(view.keys)]
    features = [_column(feature).alias(f"__feature{n}") for n, feature in enumerate(view.features)]
    at = _naive_utc(file, view.timestamp, view.path)
    created = _naive_utc(file, view.created, view.path) if view.created else F.lit(None).cast("timestamp_ntz")
    return file.select(*keys, at.alias(AT), created.alias(CREATED), *features).where(F.col(AT).isNotNull())


def key_text(frame: DataFrame, column: str) -> Column:
    """A key as text: data frames may contain numeric ids, even as floats (7.0 is the key 7), and the marts text."""
    key = _column(column)
    if dict(frame.dtypes).get(column, "").startswith(("double", "float", "decimal")):
        is_whole = (key == F.floor(key)) & (F.abs(key) < MAX_WHOLE)
        return F.when(is_whole, key.cast("bigint").cast("string")).otherwise(key.cast("string"))
    return key.cast("string")


def require_times(frame: DataFrame, column: str, source: str) -> None:
    """Check that a column contains times, dates or text.

    Raises:
        ValueError: It contains something else; an integer could be seconds, milliseconds or microseconds.
    """
    kind = dict(frame.dtypes).get(column, "unknown (there is no such column)")
    if not kind.startswith(("timestamp", "date", "string")):
        raise ValueError(f"the type of the column {column!r} of {source} is {kind}; convert it to timestamps")


def _naive_utc(file: DataFrame, column: str, path: str) -> Column:
    require_times(file, column, path)
    # Text without an offset is UTC, the time zone of the session.
    return _column(column).cast("timestamp_ltz").cast("timestamp_ntz")


def _column(name: str, of: str | None = None) -> Column:
    quoted = "`" + name.replace("`", "``") + "`"
    return F.col(f"{of}.{quoted}" if of else quoted)
