"""Profile of the published marts by day: rows, freshness, null rates, and the distribution of each column against the week before.

`reports/data_quality.json` has it for the console. Only the last days are read, of a large mart only what was published since
the last profile, and only counts are kept: no row of a user.
Legend: D days, B bins of a column.
"""

# Names of columns come from the table itself, and values are quoted.
# ruff: noqa: S608

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from quality.table_metrics import is_newest_deleted
from storage import mart_changes, object_store

SHOWN_DAYS, WEEK_DAYS = 28, 7
DAY_COUNT = SHOWN_DAYS + WEEK_DAYS
RECOUNT_INTERVAL_DAYS = 7
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


@dataclass(frozen=True)
class ColumnProfile:
    """One column. A distance is the total variation distance of two distributions: 0 is equal, 1 is disjoint.

    Attributes:
        null_rates: Fraction of the rows without a value by day; None on days without rows.
        drift: Distance of each day from the seven days before it; None if there are too few rows, or no bins.
        week_drift: Distance of the newest seven days from the seven before.
        bins: Value or range, its share in the newest seven days, and in the seven before; the most frequent first for text.
    """

    name: str
    type: str
    null_rates: list[float | None]
    drift: list[float | None]
    week_drift: float | None
    bins: list[tuple[str, float, float]]


@dataclass(frozen=True)
class TableProfile:
    """One mart: its rows by day and its columns. `days` are ISO dates without gaps, oldest first."""

    name: str
    time_column: str
    rows: int
    newest_at: str | None
    days: list[str]
    row_counts: list[int]
    columns: list[ColumnProfile]


@dataclass
class ColumnCounts:
    """Counts of one column; `bin` is the SQL expression of the bin of a value, and without labels there are no bins."""

    name: str
    type: str
    bin: str
    labels: list[str]
    known_D: list[int]  # rows with a value
    bins_DB: list[list[int]]


@dataclass
class TableCounts:
    """Counts of the rows of one version of a mart in the D days from `first` on, from which its profile is computed."""

    name: str
    time_column: str
    version: str | None  # None: the mart is published without versions
    counted_on: str  # `as_of` of the count of all rows, which chose the bins; ISO date
    rows: int
    newest_at: str | None
    first: str = ""  # ISO date
    rows_D: list[int] = field(default_factory=list)
    columns: list[ColumnCounts] = field(default_factory=list)

    @property
    def last(self) -> date:
        """The last day."""
        return date.fromisoformat(self.first) + timedelta(days=DAY_COUNT - 1)


def profile_marts(
    marts: Path, time_columns: Mapping[str, str], as_of: date, state: Path | None = None
) -> dict[str, Any]:
    """Content of `data_quality.json`: the profile of each of these marts that was published.

    Args:
        marts: Folder of the published marts.
        time_columns: Mart → column with the time of its rows.
        as_of: First unknown day.
        state: File with the counts of the last profile. Of a mart whose changes since then are published, they are added to
            these counts; bins of columns are chosen again when all rows are counted, once in `RECOUNT_INTERVAL_DAYS` days.
    """
    known = _read_counts(state) if state else {}
    with duckdb.connect(config={"threads": 2, "memory_limit": "1GB"}) as connection:
        counts = [
            count_mart(connection, marts, name, column, as_of, known.get(name))
            for name, column in time_columns.items()
            if (marts / f"{name}.parquet").is_file()
        ]
    if state:
        content = json.dumps([asdict(one) for one in counts if one.version])
        object_store.write(state, content.encode())
    tables = [asdict(profile_table(one)) for one in counts]
    return {"as_of": as_of.isoformat(), "max_drift": MAX_DRIFT, "tables": tables}


def count_mart(
    connection: duckdb.DuckDBPyConnection,
    marts: Path,
    name: str,
    time_column: str,
    as_of: date,
    known: TableCounts | None = None,
) -> TableCounts:
    """Counts of one mart over the last days, up to its newest day before `as_of`; `known`: those of an earlier version."""
    mart = mart_changes.read_published(marts, name)
    if known and 0 <= (as_of - date.fromisoformat(known.counted_on)).days < RECOUNT_INTERVAL_DAYS:
        files = mart_changes.changes_since(marts, name, known.version)
        if files is not None and (counts := _add_changes(connection, known, files, as_of)):
            return replace(counts, version=mart.newest_version)
    source = connection.sql(f"select *, 1 as weight from {mart_changes.relation(mart)}")
    rows, newest = source.aggregate(f'count(*), max("{time_column}")').fetchone() or (0, None)
    counts = TableCounts(name, time_column, mart.newest_version, as_of.isoformat(), rows, None)
    if newest is None:
        return counts
    # Batch features have the time of the next midnight, so a day of `as_of` or later ends the last known day.
    last = min(date.fromisoformat(str(newest)[:10]), as_of)
    counts.newest_at, counts.first = newest.isoformat(), (last - timedelta(days=DAY_COUNT - 1)).isoformat()
    _register_recent(connection, source, counts)
    counts.rows_D = _count(connection, "select day, 0, sum(weight) from recent group by day", 1)[:, 0].tolist()
    for column, kind in zip(source.columns, map(str, source.types), strict=True):
        if not (
            column in (time_column, "weight", *SKIPPED_COLUMNS) or column.endswith(SKIPPED_SUFFIXES) or "[]" in kind
        ):
            expression, labels = _bins(connection, column, kind)
            known_D, bins_DB = _count_column(connection, column, expression, len(labels))
            counts.columns.append(ColumnCounts(column, kind, expression, labels, known_D.tolist(), bins_DB.tolist()))
    return counts


def _add_changes(
    connection: duckdb.DuckDBPyConnection, known: TableCounts, files: Sequence[Path], as_of: date
) -> TableCounts | None:
    """The counts after the changes; None if all rows must be counted, because the newest was deleted or there were none."""
    if known.newest_at is None:
        return None
    if not files:
        return known
    changes, time = mart_changes.all_changes(files), f'"{known.time_column}"'
    source = connection.sql(f"select *, if(is_deleted, -1, 1) as weight from {changes}")
    added, inserted, deleted = source.aggregate(
        f"sum(weight), max({time}) filter (where not is_deleted), max({time}) filter (where is_deleted)"
    ).fetchone() or (0, None, None)
    inserted_at, deleted_at = (time.isoformat() if time else None for time in (inserted, deleted))
    if is_newest_deleted(known.newest_at, inserted_at, deleted_at):
        return None
    newest = max(inserted_at or "", known.newest_at)
    last = min(date.fromisoformat(newest[:10]), as_of)
    shift = (last - known.last).days
    if shift < 0:
        return None
    counts = replace(known, rows=known.rows + int(added), newest_at=newest)
    counts.first = (last - timedelta(days=DAY_COUNT - 1)).isoformat()
    _register_recent(connection, source, counts)
    added_D = _count(connection, "select day, 0, sum(weight) from recent group by day", 1)[:, 0]
    counts.rows_D = (_shift_days(known.rows_D, shift) + added_D).tolist()
    counts.columns = []
    for column in known.columns:
        known_D, bins_DB = _count_column(connection, column.name, column.bin, len(column.labels))
        known_D += _shift_days(column.known_D, shift)
        bins_DB += _shift_days(column.bins_DB, shift)
        counts.columns.append(replace(column, known_D=known_D.tolist(), bins_DB=bins_DB.tolist()))
    return counts


def profile_table(counts: TableCounts) -> TableProfile:
    """Profile of one mart."""
    if counts.newest_at is None:
        return TableProfile(counts.name, counts.time_column, counts.rows, None, [], [], [])
    first = date.fromisoformat(counts.first)
    days = [(first + timedelta(days=day)).isoformat() for day in range(WEEK_DAYS, DAY_COUNT)]
    columns = [_profile_column(column, counts.rows_D) for column in counts.columns]
    return TableProfile(
        counts.name, counts.time_column, counts.rows, counts.newest_at, days, counts.rows_D[WEEK_DAYS:], columns
    )


def total_variation(first_B: Ints, second_B: Ints) -> float | None:
    """Distance of two distributions given as counts; None if one has fewer than MIN_ROWS rows."""
    if min(first_B.sum(), second_B.sum()) < MIN_ROWS:
        return None
    return float(np.abs(first_B / first_B.sum() - second_B / second_B.sum()).sum() / 2)


def _profile_column(counts: ColumnCounts, rows_D: list[int]) -> ColumnProfile:
    nulls = [
        None if rows == 0 else round(1 - known / rows, 6)
        for rows, known in zip(rows_D[WEEK_DAYS:], counts.known_D[WEEK_DAYS:], strict=True)
    ]
    if not counts.labels:
        return ColumnProfile(counts.name, counts.type, nulls, [None] * len(nulls), None, [])
    counts_DB = np.array(counts.bins_DB)
    weeks_DB = np.array([counts_DB[day - WEEK_DAYS : day].sum(0) for day in range(WEEK_DAYS, DAY_COUNT)])
    drift = [total_variation(counts_DB[WEEK_DAYS + day], week_B) for day, week_B in enumerate(weeks_DB)]
    newest_B, before_B = counts_DB[-WEEK_DAYS:].sum(0), counts_DB[-2 * WEEK_DAYS : -WEEK_DAYS].sum(0)
    shares = [part_B / max(part_B.sum(), 1) for part_B in (newest_B, before_B)]
    bins = [(label, float(newest), float(before)) for label, newest, before in zip(counts.labels, *shares, strict=True)]
    return ColumnProfile(
        counts.name,
        counts.type,
        nulls,
        drift,
        total_variation(newest_B, before_B),
        [one for one in bins if any(one[1:])],
    )


def _register_recent(
    connection: duckdb.DuckDBPyConnection, source: duckdb.DuckDBPyRelation, counts: TableCounts
) -> None:
    """Register the rows from the first day on as `recent`, with the number of their day."""
    time = f'"{counts.time_column}"'
    recent = source.filter(f"{time} >= date '{counts.first}'").project(
        f"*, {time}::date - date '{counts.first}' as day"
    )
    connection.register("recent", recent.to_arrow_table())


def _count_column(connection: duckdb.DuckDBPyConnection, name: str, bin_: str, bins: int) -> tuple[Ints, Ints]:
    """(rows with a value [D], rows by bin [D, B]) of `recent`."""
    known = f'select day, 0, coalesce(sum(weight) filter (where "{name}" is not null), 0) from recent group by day'
    by_bin = f'select day, {bin_}, sum(weight) from recent where "{name}" is not null group by all'
    return _count(connection, known, 1)[:, 0], _count(connection, by_bin, bins) if bins else _empty(0)


def _shift_days(counts: Sequence[Any], days: int) -> Ints:
    """The counts without the first days, and with as many empty days at the end."""
    counts_D = np.array(counts, dtype=np.int64)
    return np.concatenate([counts_D[days:], np.zeros_like(counts_D[:days])])


def _read_counts(file: Path) -> dict[str, TableCounts]:
    if not file.exists():
        return {}
    tables = json.loads(file.read_text(encoding="utf-8"))
    return {
        table["name"]: TableCounts(**table | {"columns": [ColumnCounts(**column) for column in table["columns"]]})
        for table in tables
    }


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


def _empty(bins: int) -> Ints:
    return np.zeros((DAY_COUNT, bins), dtype=np.int64)


def _count(connection: duckdb.DuckDBPyConnection, query: str, bins: int) -> Ints:
    """Counts [D, B] of a query with the columns day, bin, count; rows after the last day are left out."""
    counts_DB = _empty(bins)
    for day, number, rows in connection.execute(query).fetchall():
        if 0 <= day < DAY_COUNT:
            counts_DB[day, number] = rows
    return counts_DB
