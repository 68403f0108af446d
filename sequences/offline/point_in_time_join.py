"""Point-in-time join of ordinary feature views, in DuckDB.

Semantics of Feast: the newest row of the entity with `timestamp <= time`; of equal timestamps, the row created last; null
if that row is older than the view's time to live; with `by_created`, only rows created by that time; null for an entity
row without a time. Times without a time zone are UTC, whatever the time zone of the process. Legend: e entity rows, f
feature rows. Independent of sequences.
"""

# ruff: noqa: S608 - the SQL consists of quoted column names; values are bound

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import duckdb
import pyarrow as pa

ROW, TIME = "__row", "__time"
"""Columns that the caller adds to the entity rows: the row number, and the time as a naive UTC timestamp in µs."""

MAX_WHOLE = 9e15
"""Below it, whole numbers are exact as floats."""

ColumnTypes = Mapping[str, Mapping[str, str]]
"""DuckDB's type of each column of the entity rows (`e`) and of the file (`f`)."""


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
    """The view's features, one row per entity row in the order of `ROW`; null without a feature row.

    Raises:
        ValueError: A time column of the file does not contain times.
    """
    with open_connection() as connection:
        connection.execute("set preserve_insertion_order = false")
        # DuckDB cannot estimate the size of an Arrow table, assumes few rows and would choose a nested-loop join.
        connection.execute("set asof_loop_join_threshold = 0")
        connection.register("entity_rows", entities.select(list(dict.fromkeys([ROW, TIME, *view.keys.values()]))))
        described = connection.execute("describe entity_rows").fetchall()
        types = {"e": {name: kind for name, kind, *_ in described}, "f": file_types(connection, view.path)}
        sql = _window_sql(view, types) if by_created and view.created else _as_of_sql(view, types)
        return connection.execute(sql, [view.path]).to_arrow_table()


def open_connection() -> duckdb.DuckDBPyConnection:
    """A new in-memory database that computes in UTC; by default DuckDB takes the time zone of the process."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    return connection


def file_types(connection: duckdb.DuckDBPyConnection, path: str) -> dict[str, str]:
    """DuckDB's type of each column of a Parquet file or glob."""
    described = connection.execute("describe select * from read_parquet(?)", [path]).fetchall()
    return {name: kind for name, kind, *_ in described}


def _as_of_sql(view: OrdinaryView, types: ColumnTypes) -> str:
    return f"""
        with {_feature_rows(view, types)}
        select {_select_list(view)}
        from entity_rows e asof left join feature_rows f
            on {_key_equality(view, types)} and e.{quote(TIME)} >= f.{quote(view.timestamp)}
        order by e.{quote(ROW)}
    """


def _window_sql(view: OrdinaryView, types: ColumnTypes) -> str:
    # Creation times are not ordered like event times, so the newest row needs a sort instead of a merge.
    return f"""
        with {_feature_rows(view, types, every=True)},
        newest as (
            select e.{quote(ROW)}, f.*
            from entity_rows e join feature_rows f
                on {_key_equality(view, types)}
                and e.{quote(TIME)} >= f.{quote(view.timestamp)} and e.{quote(TIME)} >= f.{quote(view.created)}
            qualify row_number() over (
                partition by e.{quote(ROW)} order by f.{quote(view.timestamp)} desc, f.{quote(view.created)} desc
            ) = 1
        )
        select {_select_list(view)}
        from entity_rows e left join newest f on e.{quote(ROW)} = f.{quote(ROW)}
        order by e.{quote(ROW)}
    """


def _feature_rows(view: OrdinaryView, types: ColumnTypes, every: bool = False) -> str:
    times = [view.timestamp, *([view.created] if view.created else [])]
    columns = [quote(c) for c in dict.fromkeys([*view.keys, *view.features]) if c not in times]
    columns += [f"{time_sql(c, types['f'], view.path)} as {quote(c)}" for c in times]
    latest = ""
    if view.created and not every:
        keys = ", ".join(quote(c) for c in [*view.keys, view.timestamp])
        latest = f"qualify row_number() over (partition by {keys} order by {quote(view.created)} desc) = 1"
    source = f"from read_parquet(?) where {quote(view.timestamp)} is not null"
    return f"feature_rows as (select {', '.join(columns)} {source} {latest})"


def time_sql(column: str, types: Mapping[str, str], path: str) -> str:
    """SQL of a time column of a file as a naive UTC timestamp.

    Raises:
        ValueError: The column has a type that is not a time; an integer could be seconds, milliseconds or microseconds.
    """
    kind = types.get(column, "unknown (there is no such column)")
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return f"{quote(column)}::timestamp"
    if kind == "VARCHAR":  # a cast to timestamp would ignore the offset of the text
        return f"{quote(column)}::timestamptz::timestamp"
    raise ValueError(f"the type of the column {column!r} of {path} is {kind}; write it as a Parquet timestamp")


def _key_equality(view: OrdinaryView, types: ColumnTypes) -> str:
    # Compared as text, because data frames may contain numeric ids and the marts contain text.
    # A view without entities has no keys: every row gets the same value.
    equalities = [
        f"{_key_text('e', column, types)} = {_key_text('f', key, types)}" for key, column in view.keys.items()
    ]
    return " and ".join(equalities or ["true"])


def _key_text(table: str, column: str, types: ColumnTypes) -> str:
    name = f"{table}.{quote(column)}"
    if not types[table].get(column, "").startswith(("DOUBLE", "FLOAT", "DECIMAL")):
        return f"{name}::varchar"
    # pandas turns a column of integers into floats if one is missing; 7.0 is the key 7.
    is_whole = f"{name} = trunc({name}) and abs({name}) < {MAX_WHOLE:.0f}"
    return f"case when {is_whole} then {name}::bigint::varchar else {name}::varchar end"


def _select_list(view: OrdinaryView) -> str:
    # DuckDB's merge join matches a null time with the newest row.
    is_valid = f"e.{quote(TIME)} is not null"
    if view.time_to_live:
        lifetime_us = view.time_to_live // timedelta(microseconds=1)
        is_valid = f"f.{quote(view.timestamp)} + interval ({lifetime_us}) microsecond >= e.{quote(TIME)}"
    return ", ".join(
        f"case when {is_valid} then f.{quote(feature)} end as {quote(output)}"
        for feature, output in view.features.items()
    )


def quote(name: str | None) -> str:
    """A quoted SQL identifier."""
    return '"' + str(name).replace('"', '""') + '"'
