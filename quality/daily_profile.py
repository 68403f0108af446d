"""Profile of the published marts by day: rows, freshness, null rates, and the distribution of each column against the week before.

`reports/data_quality.json` has it for the console. Only the last days are read, and only counts are kept: no row of a user.
Legend: D days, B bins of a column.
"""

# Names of columns come from the table itself, and values are quoted.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

SHOWN_DAYS, WEEK_DAYS = 28, 7
DAY_COUNT = SHOWN_DAYS + WEEK_DAYS
MIN_ROWS = 100
"""Rows of a day, and of the week before it, from which their distributions are compared."""
MIN_VALUE_ROWS = 20
"""Rows of the two newest weeks from which a text value is named; rarer values are counted together."""
MAX_VALUES, NUMBER_BINS = 50, 10
MAX_DRIFT = 0.2
"""Distance from which a column is marked; as the limit of the expectations on whole tables."""
SKIPPED_COLUMNS = ("part",)  # train, validation and test follow each other in time
SKIPPED_SUFFIXES = ("_id", "_at", "_date", "_hash", "_number")
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE",
           "DECIMAL")  # fmt: skip
OTHER = "other values"

Ints = NDArray[np.int64]


def profile_marts(marts: Path, time_columns: Mapping[str, str], as_of: date) -> dict[str, Any]:
    """Content of `data_quality.json`: the profile of each of these marts that was published.

    A mart has its rows by day, for `days` without gaps, oldest first, and its columns: `null_rates`, the fraction of rows
    without a value by day, None on days without rows; `drift`, the distance of each day from the seven days before it, None if there
    are too few rows, or no bins; `week_drift`, the distance between the newest seven days and the seven before; `bins`, a value or range,
    its share in the newest seven days, and in the seven before, the most frequent first for text. A distance is the total
    variation distance of two distributions: 0 is equal, 1 is disjoint.

    Args:
        marts: Folder of the published marts.
        time_columns: Mart → column with the time of its rows.
        as_of: First unknown day.
    """
    with duckdb.connect(config={"threads": 2, "memory_limit": "1GB"}) as connection:
        tables = [
            profile_mart(connection, marts, name, column, as_of)
            for name, column in time_columns.items()
            if (marts / f"{name}.parquet").is_file()
        ]
    return {"as_of": as_of.isoformat(), "max_drift": MAX_DRIFT, "tables": tables}


def profile_mart(
    connection: duckdb.DuckDBPyConnection, marts: Path, name: str, time_column: str, as_of: date
) -> dict[str, Any]:
    """Profile of one mart over the last days, up to its newest day before `as_of`."""
    source = connection.read_parquet(str(marts / f"{name}.parquet"))
    rows, newest = source.aggregate(f'count(*), max("{time_column}")').fetchone() or (0, None)
    table = {"name": name, "time_column": time_column, "rows": rows, "newest_at": newest and newest.isoformat()}
    if newest is None:
        return {**table, "days": [], "row_counts": [], "columns": []}
    # Batch features have the time of the next midnight, so a day of `as_of` or later ends the last known day.
    first = min(date.fromisoformat(str(newest)[:10]), as_of) - timedelta(days=DAY_COUNT - 1)
    recent = source.filter(f"\"{time_column}\" >= date '{first}'").project(
        f"*, \"{time_column}\"::date - date '{first}' as day"
    )
    connection.register("recent", recent.to_arrow_table())
    rows_D = _count(connection, "select day, 0, count(*) from recent group by day", 1)[:, 0]
    columns = [
        _profile_column(connection, column, kind, rows_D)
        for column, kind in zip(source.columns, map(str, source.types), strict=True)
        if not (column in (time_column, *SKIPPED_COLUMNS) or column.endswith(SKIPPED_SUFFIXES) or "[]" in kind)
    ]
    days = [(first + timedelta(days=day)).isoformat() for day in range(WEEK_DAYS, DAY_COUNT)]
    return {**table, "days": days, "row_counts": rows_D[WEEK_DAYS:].tolist(), "columns": columns}


def total_variation(first_B: Ints, second_B: Ints) -> float | None:
    """Distance of two distributions given as counts; None if one has fewer than MIN_ROWS rows."""
    if min(first_B.sum(), second_B.sum()) < MIN_ROWS:
        return None
    return float(np.abs(first_B / first_B.sum() - second_B / second_B.sum()).sum() / 2)


def _profile_column(connection: duckdb.DuckDBPyConnection, name: str, kind: str, rows_D: Ints) -> dict[str, Any]:
    known = f'from recent where "{name}" is not null group by all'
    known_D = _count(connection, f"select day, 0, count(*) {known}", 1)[:, 0]
    nulls = [
        None if rows == 0 else round(1 - count / rows, 6)
        for rows, count in zip(rows_D[WEEK_DAYS:].tolist(), known_D[WEEK_DAYS:].tolist(), strict=True)
    ]
    profile = {"name": name, "type": kind, "null_rates": nulls}
    expression, labels = _bins(connection, name, kind)
    if not labels:
        return {**profile, "drift": [None] * len(nulls), "week_drift": None, "bins": []}
    counts_DB = _count(connection, f"select day, {expression}, count(*) {known}", len(labels))
    weeks_DB = np.array([counts_DB[day - WEEK_DAYS : day].sum(0) for day in range(WEEK_DAYS, DAY_COUNT)])
    drift = [total_variation(counts_DB[WEEK_DAYS + day], week_B) for day, week_B in enumerate(weeks_DB)]
    newest_B, before_B = counts_DB[-WEEK_DAYS:].sum(0), counts_DB[-2 * WEEK_DAYS : -WEEK_DAYS].sum(0)
    shares = [part_B / max(part_B.sum(), 1) for part_B in (newest_B, before_B)]
    bins = [(label, float(newest), float(before)) for label, newest, before in zip(labels, *shares, strict=True)]
    shown = [one for one in bins if any(one[1:])]
    return {**profile, "drift": drift, "week_drift": total_variation(newest_B, before_B), "bins": shown}


def _bins(connection: duckdb.DuckDBPyConnection, name: str, kind: str) -> tuple[str, list[str]]:
    """SQL expression of the bin of a value that is not null, and the labels of the bins; no labels: too many values."""
    column = f'"{name}"'
    if kind == "BOOLEAN":
        return f"{column}::int", ["false", "true"]
    if kind.startswith(NUMBERS):
        column = f"{column}::double"
        steps = ", ".join(f"{number / NUMBER_BINS}" for number in range(1, NUMBER_BINS))
        query = f"select quantile_disc({column}, [{steps}]) from recent where isfinite({column})"
        (edges,) = connection.execute(query).fetchone() or (None,)
        distinct = sorted(set(edges or []))
        if not distinct:
            return "0", []
        cases = " ".join(f"when {column} <= {edge!r} then {number}" for number, edge in enumerate(distinct))
        ranges = [f"{_number(low)} – {_number(high)}" for low, high in pairwise(distinct)]
        return f"case {cases} else {len(distinct)} end", [
            f"up to {_number(distinct[0])}",
            *ranges,
            f"above {_number(distinct[-1])}",
        ]
    if kind != "VARCHAR":
        return "0", []
    found = connection.execute(
        f"select {column}, count(*) from recent where {column} is not null group by 1 order by 2 desc, 1 limit {MAX_VALUES + 1}"
    ).fetchall()
    if not found or len(found) > MAX_VALUES:
        return "0", []
    # No SQL text may contain a NUL.
    values = [value for value, rows in found if rows >= MIN_VALUE_ROWS and "\0" not in value]
    cases = " ".join(f"when {column} = {_quote(value)} then {number}" for number, value in enumerate(values))
    return f"case {cases} else {len(values)} end" if values else "0", [*values, OTHER]


def _number(value: float) -> str:
    """A number with three significant digits, and all digits before the decimal point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _count(connection: duckdb.DuckDBPyConnection, query: str, bins: int) -> Ints:
    """Counts [D, B] of a query with the columns day, bin, count; rows after the last day are left out."""
    counts_DB = np.zeros((DAY_COUNT, bins), dtype=np.int64)
    for day, number, rows in connection.execute(query).fetchall():
        if 0 <= day < DAY_COUNT:
            counts_DB[day, number] = rows
    return counts_DB
