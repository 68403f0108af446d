"""Ordinary feature views joined as of each row's time, by DuckDB.

Feast's promises, in SQL: the newest row of the entity with `timestamp <= time`; of equal timestamps the one created
last; nothing when that row is older than the view's time to live; with `by_created`, only rows created by then.
Legend: e entity rows, f feature rows. Knows nothing about sequences.
"""

# ruff: noqa: S608 - the SQL is made of quoted column names; values are bound

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import duckdb
import pyarrow as pa

ROW, TIME = "__row", "__time"
"""Columns that the caller adds to the entity rows: their number, and their time as naive UTC µs."""


@dataclass(frozen=True)
class OrdinaryView:
    """One feature view to join.

    Attributes:
        path: Parquet file or glob.
        keys: column of the file ▸ column of the entity rows.
        features: column of the file ▸ column of the answer.
        time_to_live: zero or None means that a value never expires.
    """

    path: str
    timestamp: str
    created: str | None
    keys: dict[str, str]
    features: dict[str, str]
    time_to_live: timedelta | None


def join(entities: pa.Table, view: OrdinaryView, by_created: bool = False) -> pa.Table:
    """The view's features, one row an entity row, in the order of `ROW`; null where nothing is known."""
    with connect(entities, view) as connection:
        sql = _window_sql(view) if by_created and view.created else as_of_sql(view)
        answer: pa.Table = connection.execute(sql, [view.path]).to_arrow_table()
        return answer


def connect(entities: pa.Table, view: OrdinaryView) -> duckdb.DuckDBPyConnection:
    """A new connection that knows the entity rows."""
    connection = duckdb.connect()
    connection.execute("set preserve_insertion_order = false")
    # DuckDB does not know how many rows an Arrow table has, takes them for few and compares each with every feature row.
    connection.execute("set asof_loop_join_threshold = 0")
    connection.register("entity_rows", entities.select(list(dict.fromkeys([ROW, TIME, *view.keys.values()]))))
    return connection


def as_of_sql(view: OrdinaryView) -> str:
    """The join, of the file that is the first parameter."""
    return f"""
        with {_feature_rows(view)}
        select {_select_list(view)}
        from entity_rows e asof left join feature_rows f
            on {_key_equality(view)} and e.{_quote(TIME)} >= f.{_quote(view.timestamp)}
        order by e.{_quote(ROW)}
    """


def _window_sql(view: OrdinaryView) -> str:
    # What was created by a time does not follow the event times, so the newest of them needs a sort, not a merge.
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
    # Compared as text: an entity frame may hold as numbers what the mart holds as text.
    # A view without entities has no keys: the same value for everybody.
    same = [f"e.{_quote(mine)}::varchar = f.{_quote(theirs)}::varchar" for theirs, mine in view.keys.items()]
    return " and ".join(same or ["true"])


def _select_list(view: OrdinaryView) -> str:
    if not view.time_to_live:
        return ", ".join(f"f.{_quote(theirs)} as {_quote(ours)}" for theirs, ours in view.features.items())
    lives = f"f.{_quote(view.timestamp)} + interval ({view.time_to_live // timedelta(microseconds=1)}) microsecond"
    return ", ".join(
        f"case when {lives} >= e.{_quote(TIME)} then f.{_quote(theirs)} end as {_quote(ours)}"
        for theirs, ours in view.features.items()
    )


def _quote(name: str | None) -> str:
    return '"' + str(name).replace('"', '""') + '"'
