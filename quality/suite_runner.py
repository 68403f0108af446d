"""Runs expectation suites over tables with Great Expectations, and says in words what was expected and observed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import great_expectations as gx
import pandas as pd
from duckdb import DuckDBPyConnection, DuckDBPyRelation
from great_expectations.data_context.types.base import ProgressBarsConfig

from config import settings
from quality import suites, table_metrics, tables
from quality.suites import Suite
from storage import mart_tables, object_store

MAX_ROWS = 200_000
"""Maximum number of rows of a table that Great Expectations validates; table metrics are computed over all rows."""
ROWS = "the table"

LANDED_SUITE = "landed_listening_events"
HISTORICAL_LOAD = "freshness, volume and drift: not evaluated, a historical load is one batch"


@dataclass(frozen=True)
class Check:
    """One expectation and what was observed.

    Attributes:
        column: Column, `the table`, or the metric of the whole table.
        text: What is expected of it.
        observed: What was found.
        is_passed: Whether the expectation holds.
    """

    column: str
    text: str
    observed: str
    is_passed: bool

    def __str__(self) -> str:
        return f"{self.column} {self.text}: {self.observed}"


def build_check(result: Any, metrics: Mapping[str, float | None]) -> Check:
    """The check of one result of Great Expectations; `metrics`: of the whole table, by name."""
    config = result.expectation_config
    column = str(config.kwargs.get("column") or config.kwargs.get("column_A") or ROWS)
    if (name := column.removeprefix("table_")) != column:  # a constant column
        value = metrics[name]
        column, observed = name.replace("_", " "), "not known" if value is None else f"{value:,.4g}"
    else:
        observed = _observed(result)
    text = (config.meta or {}).get("text") or config.type.removeprefix("expect_").replace("_", " ")
    return Check(column, text, observed, bool(result.success))


def _observed(result: Any) -> str:
    if result.exception_info and result.exception_info.get("raised_exception", False):
        return str(result.exception_info.get("exception_message"))
    details = result.result or {}
    if "observed_value" in details:
        return f"{details['observed_value']:,}"
    unexpected, rows = details.get("unexpected_count", 0), details.get("element_count", 0)
    if unexpected:
        return f"{unexpected:,} of {rows:,} rows, such as {', '.join(map(str, details.get('partial_unexpected_list', [])[:3]))}"
    return f"{rows:,} rows"


@dataclass(frozen=True)
class SuiteResult:
    """Result of one suite."""

    suite: str
    checks: tuple[Check, ...]  # each expectation in words
    notes: tuple[str, ...] = ()  # metrics that could not be computed, and why
    metrics: dict[str, float | None] = field(default_factory=dict)  # metrics of the whole table by name

    @property
    def failed(self) -> list[Check]:
        """The expectations that do not hold."""
        return [check for check in self.checks if not check.is_passed]


class Validator:
    """One validation run: validates tables one after the other.

    Args:
        connection: Database that reads the tables, from `tables.connect`.
    """

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self.connection = connection
        self._context = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = ProgressBarsConfig(globally=False)  # they would fill the task logs
        self._source = self._context.data_sources.add_pandas("segue")

    def run(self, name: str, rows: DuckDBPyRelation, suite: Suite, metrics: table_metrics.TableMetrics) -> SuiteResult:
        """Validate the newest rows of one table, and its metrics.

        Args:
            name: Name of the suite and the table.
            rows: The table.
            suite: The expectations.
            metrics: Metrics of the whole table.
        """
        frame = _newest_rows(rows, suite)
        for metric, value in metrics.values.items():
            frame[f"table_{metric}"] = pd.Series(value, index=frame.index, dtype="float64")
        # Adding an expectation to a suite changes it, so add copies.
        expectations = [copy(expectation) for expectation in suite.expectations]
        stored = self._context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
        batches = self._source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("newest")
        definition = gx.ValidationDefinition(name=name, data=batches, suite=stored)
        result = self._context.validation_definitions.add(definition).run(batch_parameters={"dataframe": frame})
        checks = tuple(build_check(item, metrics.values) for item in result.results)
        return SuiteResult(name, checks, tuple(metrics.notes), dict(metrics.values))


def validate_landed(home: settings.Settings, as_of: date, validator: Validator) -> list[SuiteResult]:
    """Validate the newest landed partition before `as_of`.

    Volume and drift are computed on the mart `events`, which has no events of bots.

    Raises:
        tables.TableError: No event before `as_of` has been landed.
    """
    landed, is_historical = tables.find_landed_events(validator.connection, object_store.fetch_landing(home), as_of)
    age_hours = None if is_historical else table_metrics.hours_before(landed, as_of)
    metrics = table_metrics.TableMetrics({"hours_before_as_of": age_hours})
    return [validator.run(LANDED_SUITE, landed, suites.LANDED_EVENTS, metrics)]


def validate_marts(home: settings.Settings, as_of: date, validator: Validator) -> list[SuiteResult]:
    """Validate the last days of every published mart; after a historical load all rows.

    Raises:
        tables.TableError: A mart has not been published.
    """
    connection = validator.connection
    is_historical = _is_historical(connection, home, as_of)
    marts = object_store.fetch_marts(home)
    results = []
    for name, suite in suites.MARTS.items():
        rows = tables.mart_table(connection, marts, name)
        if suite.newest is not None and not is_historical:
            time_columns = table_metrics.TIME_COLUMNS if suite.has_time else ()
            columns = {*_columns(suite), *suite.key, *time_columns}
            rows = tables.recent_rows(connection, name, rows, columns, suite.newest)
        metrics = table_metrics.TableMetrics()
        if suite.has_time:
            # Volume and drift are of the newest day that has ended.
            end = min(as_of, datetime.now(UTC).date())
            metrics = (
                table_metrics.TableMetrics(dict(table_metrics.NO_WEEK), [HISTORICAL_LOAD])
                if is_historical
                else table_metrics.trailing_week_metrics(table_metrics.count_days(rows), end)
            )
            age_hours = table_metrics.hours_before(rows, as_of)
            excluded = tables.mart_table(connection, marts, "excluded_user_days")
            metrics.values |= {
                "excluded_user_share": table_metrics.excluded_user_share(rows, excluded),
                "hours_before_as_of": age_hours,
                "hours_before_as_of_if_daily": None if is_historical else age_hours,
            }
        metrics.values["duplicate_keys"] = table_metrics.duplicate_keys(rows, suite.key)
        results.append(validator.run(name, rows, suite, metrics))
    return results


def validate_content(
    home: settings.Settings,
    as_of: date,  # noqa: ARG001 - vectors have no time
    validator: Validator,
) -> list[SuiteResult]:
    """Validate the published vectors and facets; tables that do not exist are left out."""
    marts = object_store.fetch_marts(home)
    files = {mart_tables.table_file(marts, encoder): suites.TRACK_CONTENT for encoder in mart_tables.ENCODER_NAMES}
    results = []
    for file, suite in (files | {mart_tables.facets_file(marts): suites.TRACK_FACETS}).items():
        if not file.exists():
            continue
        rows = validator.connection.read_parquet(str(file))
        metrics = table_metrics.TableMetrics()
        if suite is suites.TRACK_CONTENT:
            metrics.values |= table_metrics.vector_metrics(file, file.stem.removeprefix("track_content_"))
        metrics.values["duplicate_keys"] = table_metrics.duplicate_keys(rows, suite.key)
        results.append(validator.run(file.stem, rows, suite, metrics))
    return results


# Gates of the pipeline: before marts are built, and before features are built.
STAGES: dict[str, Callable[[settings.Settings, date, Validator], list[SuiteResult]]] = {
    "landed": validate_landed,
    "marts": validate_marts,
    "content": validate_content,
}


def _is_historical(connection: DuckDBPyConnection, home: settings.Settings, as_of: date) -> bool:
    try:
        return tables.find_landed_events(connection, object_store.fetch_landing(home), as_of)[1]
    except tables.TableError:
        # Marts can be validated without a landing zone; they must then be as fresh as a daily load.
        return False


def _newest_rows(rows: DuckDBPyRelation, suite: Suite) -> pd.DataFrame:
    """The columns of the suite that exist, of at most `MAX_ROWS` rows, the newest ones."""
    columns = _columns(suite)
    # Without a required column, read the first one, so that the number of rows is right.
    selected = [f'"{name}"' for name in rows.columns if name in columns] or [f'"{rows.columns[0]}"']
    order = f"order by {suite.newest} desc" if suite.newest in rows.columns else ""
    return rows.query("rows", f"select {', '.join(selected)} from rows {order} limit {MAX_ROWS}").df()  # noqa: S608


def _columns(suite: Suite) -> set[str]:
    """Names of the columns that the suite's expectations refer to."""
    names = [getattr(item, field, None) for item in suite.expectations for field in ("column", "column_A", "column_B")]
    return {name for name in names if isinstance(name, str)}
