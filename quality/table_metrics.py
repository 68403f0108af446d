"""Metrics of a table that no single row shows, as constant columns that expectations can name.

Metrics are computed over all rows, of daily loads over the rows of the last weeks (`tables.recent_rows`), and repeated in every
validated row as `table_<name>`. A metric that cannot be computed is null, which every expectation accepts;
`TableMetrics.notes` gives the reason.

Metrics of the vectors of a table `track_content`, which Great Expectations has no expectations for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path

import polars as pl
from duckdb import DuckDBPyRelation

MIN_USERS = 100
"""Minimum number of users for the share of excluded users to be limited."""
MIN_WEEK_EVENTS = 10_000
"""Minimum number of events in the trailing week for volume and drift to be computed."""
TIME_COLUMNS = ("ended_at", "action", "played_ms", "user_id")
"""Columns that `hours_before`, `count_days` and `excluded_user_share` read."""
WEEK_DAYS = 7
LENGTH_BIN_MS = 30_000
MAX_LENGTH_BIN = 20
"""Last bin of play lengths; it also holds all longer plays (10 minutes and more)."""

NO_WEEK: dict[str, float | None] = {"volume_ratio": None, "action_drift": None, "length_drift": None}
"""Metrics of a table without a preceding week to compare with."""


DIMENSIONS = {"audio": 200, "image": 1_280, "text": 512}
TAGS = {"audio": 50}


@dataclass
class TableMetrics:
    """Metrics of one table."""

    values: dict[str, float | None] = field(default_factory=dict)  # metric name to value; None: not computable
    notes: list[str] = field(default_factory=list)  # one line per group of metrics that could not be computed, and why


def duplicate_keys(rows: DuckDBPyRelation, key: tuple[str, ...]) -> float:
    """Number of rows whose key occurs in an earlier row, or contains a null."""
    columns = ", ".join(key)
    nulls = " or ".join(f"{column} is null" for column in key)
    keys = rows.aggregate(f"{columns}, count(*) as copies", columns)
    repeated = f"coalesce(sum(copies - 1), 0) + coalesce(sum(copies) filter (where {nulls}), 0)"
    ((count,),) = keys.aggregate(repeated).fetchall()
    return float(count)


def hours_before(rows: DuckDBPyRelation, as_of: date) -> float | None:
    """Hours from the newest `ended_at` of a relation to `as_of`; negative if an event ended later; None without rows."""
    ((newest_us,),) = rows.aggregate("epoch_us(max(ended_at))").fetchall()
    if newest_us is None:
        return None
    limit_s = (datetime.combine(as_of, time()) - datetime(1970, 1, 1)).total_seconds()
    return float(limit_s - newest_us / 1e6) / 3600


def excluded_user_share(events: DuckDBPyRelation, excluded: DuckDBPyRelation) -> float | None:
    """Share of the users of the newest eight days that are in the mart `excluded_user_days`; None for fewer than MIN_USERS users."""
    known = events.project("user_id, ended_at::date as day, false as is_excluded")
    days = known.union(excluded.project("user_id, event_date, true"))
    recent = f"from days where day > (select max(day) from days) - interval {WEEK_DAYS + 1} day"  # noqa: S608
    query = f"select count(distinct case when is_excluded then user_id end), count(distinct user_id) {recent}"
    ((users, all_users),) = days.query("days", query).fetchall()
    return users / all_users if all_users >= MIN_USERS else None


def count_days(rows: DuckDBPyRelation) -> pl.DataFrame:
    """Number of events of a relation (`count`) by `day` since 1970, `action`, and bin of the play `length`."""
    length = f"least(played_ms // {LENGTH_BIN_MS}, {MAX_LENGTH_BIN})::int"
    return (
        rows.filter("ended_at is not null")
        .query(
            "events",
            f"select epoch_us(ended_at) // 86400000000 as day, action, {length} as length, count(*) as count from events group by all",  # noqa: S608
        )
        .pl()
    )


def trailing_week_metrics(counts: pl.DataFrame, end: date) -> TableMetrics:
    """Metrics that compare the newest day before `end` with the seven days before it.

    `volume_ratio` is the number of events of the day divided by the daily mean of the week; if the log is younger, of
    the days since its first event. `action_drift` and `length_drift` are total variation distances (0 identical, 1
    disjoint) of the distributions of actions and of play lengths in bins of 30 s.

    Args:
        counts: Result of `count_days`.
        end: First day that has not ended.
    """
    counts = counts.filter(pl.col("day") < (end - date(1970, 1, 1)).days)
    age = pl.col("day").max() - pl.col("day")
    week = counts.with_columns(age=age).filter(pl.col("age") <= WEEK_DAYS)
    before, today = (int(week.filter((pl.col("age") == 0) == is_new)["count"].sum()) for is_new in (False, True))
    if before < MIN_WEEK_EVENTS:
        note = f"volume and drift: not enough data ({before:,} events in the trailing week, {MIN_WEEK_EVENTS:,} needed)"
        return TableMetrics(dict(NO_WEEK), [note])
    days = min(WEEK_DAYS, counts.select(age.max()).item())
    actions, lengths = _total_variation(week, "action"), _total_variation(week.filter(action="play"), "length")
    return TableMetrics({"volume_ratio": today / (before / days), "action_drift": actions, "length_drift": lengths})


def _total_variation(week: pl.DataFrame, column: str) -> float | None:
    """Distance between the distributions of a column on the newest day and before; None if one is empty."""
    parts = [pl.col("count").filter(is_part).sum() for is_part in (pl.col("age") == 0, pl.col("age") > 0)]
    counts = week.group_by(column).agg(newest=parts[0], before=parts[1])
    if not all(counts.select(pl.sum("newest", "before")).row(0)):
        return None
    shares = pl.col("newest") / pl.sum("newest") - pl.col("before") / pl.sum("before")
    return float(counts.select(shares.abs().sum() / 2).item())


def vector_metrics(file: Path, encoder: str) -> dict[str, float | None]:
    """Metrics over all rows of a file, read in batches.

    Returns:
        `encoder_versions`: number of versions. `wrong_embeddings`: rows whose embedding has another length than the
        encoder's or a number that is not finite. `wrong_probabilities`: rows whose tag probabilities have another
        length or are not in [0, 1]; rows of encoders without tags have none.
    """
    tags = pl.col("tag_probabilities")
    is_wrong = {
        "wrong_embeddings": _is_wrong("embedding", DIMENSIONS[encoder], pl.element().is_finite()),
        "wrong_probabilities": _is_wrong("tag_probabilities", TAGS[encoder], pl.element().is_between(0, 1))
        if encoder in TAGS
        else tags.is_not_null(),
    }
    counts = {name: wrong.sum() for name, wrong in is_wrong.items()}
    rows = pl.scan_parquet(file).select(encoder_versions=pl.col("encoder_version").n_unique(), **counts)
    return {name: int(value) for name, value in rows.collect(engine="streaming").row(0, named=True).items()}


def _is_wrong(column: str, width: int, is_valid: pl.Expr) -> pl.Expr:
    """Whether a list is null, has another length, or has an element that is null or not valid."""
    lists = pl.col(column)
    has_wrong = lists.list.eval(~is_valid.fill_null(False)).list.any()
    return lists.is_null() | (lists.list.len() != width) | has_wrong
