"""Ordinary feature views joined as of each row's time, by Spark: the promises of `as_of_join.py`.

Legend: e entity rows, f feature rows. Knows nothing about sequences.
"""

from __future__ import annotations

from datetime import timedelta
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sequences.offline.point_in_time_join import ROW, TIME, OrdinaryView

NEWEST, AT, CREATED = "__newest", "__at", "__created"


def join_ordinary_view(entities: DataFrame, view: OrdinaryView, by_created: bool = False) -> DataFrame:
    """The view's features with `ROW`, one row an entity row of which something is known, in any order."""
    e = entities.select(ROW, TIME, *{mine: _column(mine).cast("string") for mine in view.keys.values()}.values()).alias(
        "e"
    )
    f = _feature_rows(entities.sparkSession.read.parquet(view.path), view).alias("f")
    is_known = F.col(f"f.{AT}") <= F.col(f"e.{TIME}")
    if by_created and view.created:
        is_known &= F.col(f"f.{CREATED}") <= F.col(f"e.{TIME}")
    # Compared as text: an entity frame may hold as numbers what the mart holds as text.
    same = [_column(mine, "e") == F.col(f"f.__key{n}") for n, mine in enumerate(view.keys.values())]
    order = F.struct(f"f.{AT}", f"f.{CREATED}")
    found = (
        e.join(f, reduce(Column.__and__, [*same, is_known]))
        .groupBy(f"e.{ROW}", f"e.{TIME}")
        .agg(F.max_by(F.struct("f.*"), order).alias(NEWEST))
    )
    if view.time_to_live:
        microseconds = view.time_to_live // timedelta(microseconds=1)
        lives_until = F.col(f"{NEWEST}.{AT}") + F.expr(f"make_dt_interval(0, 0, 0, {microseconds / 1e6:.6f})")
        found = found.where(lives_until >= F.col(TIME))
    values = [F.col(f"{NEWEST}.__feature{n}").alias(ours) for n, ours in enumerate(view.features.values())]
    return found.select(ROW, *values)


def _feature_rows(file: DataFrame, view: OrdinaryView) -> DataFrame:
    keys = [_column(theirs).cast("string").alias(f"__key{n}") for n, theirs in enumerate(view.keys)]
    features = [_column(theirs).alias(f"__feature{n}") for n, theirs in enumerate(view.features)]
    at = _column(view.timestamp).cast("timestamp_ntz")
    created = _column(view.created).cast("timestamp_ntz") if view.created else F.lit(None).cast("timestamp_ntz")
    return file.select(*keys, at.alias(AT), created.alias(CREATED), *features).where(F.col(AT).isNotNull())


def _column(name: str, of: str | None = None) -> Column:
    quoted = "`" + name.replace("`", "``") + "`"
    return F.col(f"{of}.{quoted}" if of else quoted)
