"""Metrics of a table that no single row shows, as constant columns that expectations can name.

Metrics are computed over all rows, of daily loads over those of the last weeks (`tables.recent_rows`), and repeated in every
validated row as `table_<name>`. A metric that cannot be computed is null, which every expectation accepts;
`TableMetrics.notes` gives the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time

from quality.engine import Engine
from quality.tables import Table

MIN_WEEK_EVENTS = 10_000
"""Minimum number of events in the trailing week for volume and drift to be computed."""
TIME_COLUMNS = ("ended_at", "action", "played_ms")
"""Columns that `hours_since_newest` and `trailing_week_metrics` read."""
LENGTH_BIN_MS = 30_000
MAX_LENGTH_BIN = 20
"""Last bin of play lengths; it also holds all longer plays (10 minutes and more)."""

_DAYS = """
with numbered as (select *, floor({epoch_micros} / 86400000000) as day from {source}),
newest as (select max(day) as newest_day from numbered),
days as (select *, day = newest_day as is_newest from numbered cross join newest where day >= newest_day - 7)
"""
_TOTAL_VARIATION = """
, bins as (
    select
        {value} as bin,
        count(*) filter (where is_newest) as today,
        count(*) filter (where not is_newest) as before
    from days
    where {rows}
    group by 1
)
select sum(abs(bins.today / sums.today - bins.before / sums.before)) / 2
from bins
cross join (select nullif(sum(today), 0) as today, nullif(sum(before), 0) as before from bins) as sums
"""


@dataclass
class TableMetrics:
    """Metrics of one table."""

    values: dict[str, float | None] = field(default_factory=dict)  # metric name to value; None: not computable
    notes: list[str] = field(default_factory=list)  # one line per group of metrics that could not be computed, and why


def duplicate_keys(engine: Engine, table: Table, key: tuple[str, ...]) -> float:
    """Number of rows whose key occurs in an earlier row, or contains a null."""
    columns = ", ".join(key)
    nulls = " or ".join(f"{column} is null" for column in key)
    return _number(
        engine,
        f"select coalesce(sum(copies - 1), 0) + coalesce(sum(copies) filter (where {nulls}), 0)"  # noqa: S608
        f" from (select {columns}, count(*) as copies from {table.source} group by {columns})",
    )


def hours_since_newest(engine: Engine, table: Table, as_of: date) -> float | None:
    """Hours from the newest `ended_at` to `as_of`; negative if an event ended later; None for an empty table."""
    row = engine.first_row(f"select {engine.epoch_micros('max(ended_at)')} from {table.source}")  # noqa: S608
    if row is None or row[0] is None:
        return None
    limit_s = (datetime.combine(as_of, time()) - datetime(1970, 1, 1)).total_seconds()
    return float(limit_s - row[0] / 1e6) / 3600


def trailing_week_metrics(engine: Engine, table: Table) -> TableMetrics:
    """Metrics that compare the newest day with the seven days before it.

    `volume_ratio` is the number of events of the day divided by the daily mean of the week. `action_drift` and
    `length_drift` are total variation distances (0 identical, 1 disjoint) of the distributions of actions and of play
    lengths in bins of 30 s.
    """
    metrics = TableMetrics({"volume_ratio": None, "action_drift": None, "length_drift": None})
    days = _DAYS.format(source=table.source, epoch_micros=engine.epoch_micros("ended_at"))
    before, today = (
        _number(engine, f"{days} select count(*) from days where is_newest = {newest}")  # noqa: S608
        for newest in (False, True)
    )
    if before < MIN_WEEK_EVENTS:
        metrics.notes.append(
            f"volume and drift: not enough data ({before:,.0f} events in the trailing week, {MIN_WEEK_EVENTS:,} needed)"
        )
        return metrics
    metrics.values["volume_ratio"] = today / (before / 7)
    length = f"least(floor(played_ms / {LENGTH_BIN_MS}), {MAX_LENGTH_BIN})"
    for name, value, rows in (("action_drift", "action", "true"), ("length_drift", length, "action = 'play'")):
        metrics.values[name] = _number(engine, days + _TOTAL_VARIATION.format(value=value, rows=rows))
    return metrics


def historical_load_metrics() -> TableMetrics:
    """Null metrics of a historical load, which is one batch without a preceding week to compare with."""
    values: dict[str, float | None] = {"volume_ratio": None, "action_drift": None, "length_drift": None}
    return TableMetrics(values, ["freshness, volume and drift: not evaluated, a historical load is one batch"])


def _number(engine: Engine, query: str) -> float:
    row = engine.first_row(query)
    return float(row[0]) if row and row[0] is not None else 0.0
