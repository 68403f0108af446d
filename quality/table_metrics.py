"""What one row cannot say: facts about a whole table, as columns that expectations can name.

Every fact is computed over all rows, and stands in each validated row under its name. A fact that cannot be
known is null, which every expectation passes, and `notes` says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time

from quality.engine import Engine
from quality.tables import Table

MIN_WEEK_EVENTS = 10_000
LENGTH_BIN_MS = 30_000
MAX_LENGTH_BIN = 20

_DAYS = """
with numbered as (select *, floor({micros} / 86400000000) as day from {source}),
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
    """`values`: fact ▸ number or None. `notes`: why something could not be judged, one line each."""

    values: dict[str, float | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def duplicate_keys(engine: Engine, table: Table, key: tuple[str, ...]) -> float:
    """Rows whose key stands in an earlier row, too, or has a null."""
    columns = ", ".join(key)
    nulls = " or ".join(f"{column} is null" for column in key)
    return _number(
        engine,
        f"select coalesce(sum(copies - 1), 0) + coalesce(sum(copies) filter (where {nulls}), 0)"  # noqa: S608
        f" from (select {columns}, count(*) as copies from {table.source} group by {columns})",
    )


def hours_since_newest(engine: Engine, table: Table, as_of: date) -> float | None:
    """Hours from the newest `ended_at` to `as_of`; negative when something ended after it; None for an empty table."""
    found = engine.first_row(f"select {engine.micros('max(ended_at)')} from {table.source}")  # noqa: S608
    if found is None or found[0] is None:
        return None
    limit = (datetime.combine(as_of, time()) - datetime(1970, 1, 1)).total_seconds()
    return float(limit - found[0] / 1e6) / 3600


def trailing_week_metrics(engine: Engine, table: Table) -> TableMetrics:
    """The newest day against the seven before it.

    `volume_ratio`: its events over their daily mean. `action_drift`, `length_drift`: total variation (0 the same, 1
    disjoint) between the shares of actions, and of play lengths in bins of 30 s.
    """
    facts = TableMetrics({"volume_ratio": None, "action_drift": None, "length_drift": None})
    days = _DAYS.format(source=table.source, micros=engine.micros("ended_at"))
    before, today = (
        _number(engine, f"{days} select count(*) from days where is_newest = {newest}")  # noqa: S608
        for newest in (False, True)
    )
    if before < MIN_WEEK_EVENTS:
        facts.notes.append(
            f"volume and drift: not enough data ({before:,.0f} events in the trailing week, {MIN_WEEK_EVENTS:,} needed)"
        )
        return facts
    facts.values["volume_ratio"] = today / (before / 7)
    length = f"least(floor(played_ms / {LENGTH_BIN_MS}), {MAX_LENGTH_BIN})"
    for name, value, rows in (("action_drift", "action", "true"), ("length_drift", length, "action = 'play'")):
        facts.values[name] = _number(engine, days + _TOTAL_VARIATION.format(value=value, rows=rows))
    return facts


def historical_load_metrics() -> TableMetrics:
    """A historical load is one batch: it has no day to compare with the week before."""
    values: dict[str, float | None] = {"volume_ratio": None, "action_drift": None, "length_drift": None}
    return TableMetrics(values, ["freshness, volume and drift: not judged, a historical load is one batch"])


def _number(engine: Engine, query: str) -> float:
    found = engine.first_row(query)
    return float(found[0]) if found and found[0] is not None else 0.0
