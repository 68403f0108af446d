"""Entity rows of a retrieval that gives a time range instead of rows: every entity with a row in the range, at its end.

The rows are the same as in Feast's Spark store: the distinct keys of all requested views, null where a view lacks a key of
another. Both engines use them. Memory is proportional to the number of distinct keys.
"""

# ruff: noqa: S608 - the SQL consists of quoted column names; values are bound

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import duckdb
import pandas as pd
from feast.feature_view import FeatureView
from feast.infra.offline_stores.offline_utils import DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL
from feast.repo_config import RepoConfig
from feast.utils import compute_non_entity_date_range, to_naive_utc

from sequences.offline.joined_views import RequestedView, parquet_path
from sequences.offline.point_in_time_join import file_types, open_connection, quote, time_sql
from sequences.sequence_views import sequence_view_of


def entities_in_range(
    config: RepoConfig, views: Sequence[FeatureView], start_date: datetime | None, end_date: datetime | None
) -> pd.DataFrame:
    """One row per entity with feature rows (of a sequence: events) between the dates, with the end as its time.

    Args:
        config: The configuration of the store.
        views: The requested views.
        start_date: UTC if it has no time zone; None: Feast's default, the longest time to live or 30 days before the end.
        end_date: UTC if it has no time zone; None: now.
    """
    start, end = compute_non_entity_date_range(list(views), start_date, end_date)
    with open_connection() as connection:
        selects, values = [], []
        for view in views:
            requested = RequestedView(view, [], full_feature_names=False)
            if requested.join_keys:
                sql, bound = _keys_sql(connection, requested, parquet_path(config.repo_path, requested.source))
                selects.append(sql)
                values += [*bound, to_naive_utc(start), to_naive_utc(end)]
        if not selects:  # views without entities have one value
            return pd.DataFrame({DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL: [end]})
        table = connection.execute(f"{' union by name '.join(selects)} order by all", values).to_arrow_table()
    keys = table.to_pandas(integer_object_nulls=True)  # floats would round large ids
    return keys.assign(**{DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL: pd.Timestamp(end)})


def _keys_sql(connection: duckdb.DuckDBPyConnection, requested: RequestedView, path: str) -> tuple[str, list[Any]]:
    """(SQL of the keys, its parameters except the range)."""
    view, sequence = requested.to_ordinary_view(path), sequence_view_of(requested.source)
    columns = ", ".join(f"{quote(key)} as {quote(column)}" for key, column in view.keys.items())
    conditions = [f"{quote(key)} is not null" for key in view.keys]
    values: list[Any] = [path]
    if sequence is not None:
        conditions.append("list_contains(?, behavior)")
        values.append(list(sequence.behaviors))
        if sequence.target_types:
            conditions.append("list_contains(?, target_type)")
            values.append(list(sequence.target_types))
    time = time_sql(view.timestamp, file_types(connection, path), path)
    # A sequence contains the events before the row's time, other views also those at the time.
    conditions.append(f"{time} >= ? and {time} {'<' if sequence else '<='} ?")
    return f"(select distinct {columns} from read_parquet(?) where {' and '.join(conditions)})", values
