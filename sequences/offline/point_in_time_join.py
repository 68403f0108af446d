"""Point-in-time join of ordinary feature views, in DuckDB.

Semantics of Feast: the newest row of the entity with `timestamp <= time`; of equal timestamps, the row created last; null
if that row is older than the view's time to live; with `by_created`, only rows created by that time. Legend: e entity
rows, f feature rows. Independent of sequences.
"""

# ruff: noqa: S608 - the SQL consists of quoted column names; values are bound

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import duckdb
import pyarrow as pa

ROW, TIME = "__row", "__time"
"""Columns that the caller adds to the entity rows: the row number, and the time as a naive UTC timestamp in µs."""


@dataclass(frozen=True)
class OrdinaryView:
    """One feature view to join."""

    path: str  # Parquet file or glob
    timestamp: str  # column of the event timestamp
    created: str | None  # column of the creation timestamp
    keys: dict[str, str]  # column of the file ▸ column of the entity rows
    features: dict[str, str]  # column of the file ▸ column of the result
    time_to_live: timedelta | None  # zero or None: values never expire


def join(entities: pa.Table, view: OrdinaryView, by_created: bool = False) -> pa.Table:
    """The view's features, one row per entity row in the order of `ROW`; null without a feature row."""
    with connect(entities, view) as connection:
        sql = _window_sql(view) if by_created and view.created else as_of_sql(view)
        features: pa.Table = connection.execute(sql, [view.path]).to_arrow_table()
        return features


def connect(entities: pa.Table, view: OrdinaryView) -> duckdb.DuckDBPyConnection:
    """A new connection with the entity rows registered."""
    connection = duckdb.connect()
    connection.execute("set preserve_insertion_order = false")
    # DuckDB cannot estimate the size of an Arrow table, assumes few rows and would choose a nested-loop join.
    connection.execute("set asof_loop_join_threshold = 0")
    connection.register("entity_rows", entities.select(list(dict.fromkeys([ROW, TIME, *view.keys.values()]))))
    return connection


def as_of_sql(view: OrdinaryView) -> str:
    """SQL of the join; its parameter is the path of the file."""
    return f"""
        with {_feature_rows(view)}
        select {_select_list(view)}
        from entity_rows e asof left join feature_rows f
            on {_key_equality(view)} and e.{_quote(TIME)} >= f.{_quote(view.timestamp)}
        order by e.{_quote(ROW)}
    """


def _window_sql(view: OrdinaryView) -> str:
    # Creation times are not ordered like event times, so the newest row needs a sort instead of a merge.
    return f"""
        with {_feature_rows(view, every=True)},
        newest as (
            select e.{_quote(ROW)}, f.*
            from entity_rows e join feature_rows f
                on {_key_equality(view)}
                and e.{_quote(TIME)} >= f.{_quote(view.timestamp)} and e.{_quote(TIME)} >= f.{_quote(view.created)}
            qualify row_number() over (
                partition by e.{_quote(ROW)} order by f.{_quote(view.timestamp)} desc, f.{_quote(view.created)} desc
            ) = 1
        )
        select {_select_list(view)}
        from entity_rows e left join newest f on e.{_quote(ROW)} = f.{_quote(ROW)}
        order by e.{_quote(ROW)}
    """


def _feature_rows(view: OrdinaryView, every: bool = False) -> str:
    times = [view.timestamp, *([view.created] if view.created else [])]
    columns = [_quote(c) for c in dict.fromkeys([*view.keys, *view.features]) if c not in times]
    columns += [f"{_quote(c)}::timestamp as {_quote(c)}" for c in times]
    latest = ""
    if view.created and not every:
        keys = ", ".join(_quote(c) for c in [*view.keys, view.timestamp])
        latest = f"qualify row_number() over (partition by {keys} order by {_quote(view.created)} desc) = 1"
    source = f"from read_parquet(?) where {_quote(view.timestamp)} is not null"
    return f"feature_rows as (select {', '.join(columns)} {source} {latest})"


def _key_equality(view: OrdinaryView) -> str:
    # Compared as text, because data frames may contain numeric ids and the marts contain text.
    # A view without entities has no keys: every row gets the same value.
    equalities = [f"e.{_quote(column)}::varchar = f.{_quote(key)}::varchar" for key, column in view.keys.items()]
    return " and ".join(equalities or ["true"])


def _select_list(view: OrdinaryView) -> str:
    if not view.time_to_live:
        return ", ".join(f"f.{_quote(feature)} as {_quote(output)}" for feature, output in view.features.items())
    expires = f"f.{_quote(view.timestamp)} + interval ({view.time_to_live // timedelta(microseconds=1)}) microsecond"
    return ", ".join(
        f"case when {expires} >= e.{_quote(TIME)} then f.{_quote(feature)} end as {_quote(output)}"
        for feature, output in view.features.items()
    )


def _quote(name: str | None) -> str:
    return '"' + str(name).replace('"', '""') + '"'
