"""Runs suites over tables with Great Expectations, and builds the data docs. Knows nothing about the command line."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import great_expectations as gx
from great_expectations.data_context.types.base import ProgressBarsConfig

from config import settings
from quality import suites, table_metrics, tables
from quality.engine import Engine
from quality.suites import Suite
from quality.tables import Table
from storage import object_store

SITE = "segue"
LANDED_SUITE = "landed_listening_events"


class SuiteError(LookupError):
    """There is no suite of that name; the message says where they are."""


@dataclass(frozen=True)
class MeasuredMetric:
    """A fact about a table and what it may be; None: not known, or any."""

    value: float | None
    least: float | None
    most: float | None


@dataclass(frozen=True)
class SuiteResult:
    """What one suite found: `failed` names each expectation that did not hold and what was there, `held` each other one;
    `notes` what could not be judged; `measured` has the facts about the whole table.
    """

    suite: str
    expectations: int
    failed: tuple[str, ...]
    notes: tuple[str, ...]
    measured: dict[str, MeasuredMetric] = field(default_factory=dict)
    held: tuple[str, ...] = ()


class Validator:
    """One validation run: validates tables one after the other, then builds one site over all of them."""

    def __init__(self, site_folder: Path, engine: Engine) -> None:
        self.engine = engine
        self._context = gx.get_context(mode="ephemeral")
        # A log that somebody reads for a failed expectation is no place for hundreds of bars
        self._context.variables.progress_bars = ProgressBarsConfig(globally=False)
        self._source = engine.data_source(self._context)
        # The three sites that GX would build by default are not wanted, ours is.
        for name in list(self._context.get_site_names()):
            self._context.delete_data_docs_site(name)
        backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site_folder)}
        site: Any = {
            "class_name": "SiteBuilder",
            "store_backend": backend,
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        }
        self._context.add_data_docs_site(SITE, site)

    def run(self, name: str, frame: Any, suite: Suite, facts: table_metrics.TableMetrics) -> SuiteResult:
        """Judges one table's rows, facts included, by its suite."""
        # An expectation belongs to the suite it was put in: the table of suites keeps its own.
        expectations = [copy(expectation) for expectation in suite.expectations]
        stored = self._context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
        batches = self._source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("newest")
        definition = gx.ValidationDefinition(name=name, data=batches, suite=stored)
        result = self._context.validation_definitions.add(definition).run(batch_parameters={"dataframe": frame})
        failed = tuple(_describe_failure(item) for item in result.results if not item.success)
        held = tuple(_describe_expectation(item.expectation_config) for item in result.results if item.success)
        return SuiteResult(name, len(result.results), failed, tuple(facts.notes), _limited_metrics(suite, facts), held)

    def build_docs(self) -> None:
        """Writes `index.html` and a page for each suite and result."""
        self._context.build_data_docs(site_names=[SITE])


def validate_landed(
    home: settings.Settings, as_of: date, validator: Validator, only: str | None = None
) -> list[SuiteResult]:
    """The newest landed partition; nothing where `only` names another suite.

    Raises:
        tables.TableError: nothing has been landed.
    """
    if only not in (None, LANDED_SUITE):
        return []
    engine = validator.engine
    landed = tables.find_landed_events(engine, object_store.fetch_landing(home))
    facts = (
        table_metrics.historical_load_metrics()
        if landed.is_historical
        else table_metrics.trailing_week_metrics(engine, landed.week)
    )
    age = None if landed.is_historical else table_metrics.hours_since_newest(engine, landed.table, as_of)
    facts.values["hours_before_as_of"] = age
    frame = _frame(engine, landed.table, suites.LANDED_EVENTS, facts)
    return [validator.run(LANDED_SUITE, frame, suites.LANDED_EVENTS, facts)]


def validate_marts(
    home: settings.Settings, as_of: date, validator: Validator, only: str | None = None
) -> list[SuiteResult]:
    """Every published mart, or the one that `only` names.

    Raises:
        tables.TableError: a mart has not been published.
    """
    engine = validator.engine
    is_historical = _is_historical(engine, home)
    marts = object_store.fetch_marts(home)
    outcomes = []
    for name, suite in suites.MARTS.items():
        if only not in (None, name):
            continue
        table = tables.mart_table(engine, marts, name, suite.newest)
        facts = table_metrics.TableMetrics()
        if suite.has_time:
            facts = (
                table_metrics.historical_load_metrics()
                if is_historical
                else table_metrics.trailing_week_metrics(engine, table)
            )
            age = table_metrics.hours_since_newest(engine, table, as_of)
            facts.values |= {
                "hours_before_as_of": age,
                "hours_before_as_of_if_daily": None if is_historical else age,
            }
        facts.values["duplicate_keys"] = table_metrics.duplicate_keys(engine, table, suite.key)
        outcomes.append(validator.run(name, _frame(engine, table, suite, facts), suite, facts))
    return outcomes


# Where the line asks whether it may go on: before marts are built, and before features are.
STAGES: dict[str, Callable[[settings.Settings, date, Validator, str | None], list[SuiteResult]]] = {
    "landed": validate_landed,
    "marts": validate_marts,
}


def _is_historical(engine: Engine, home: settings.Settings) -> bool:
    try:
        return tables.find_landed_events(engine, object_store.fetch_landing(home)).is_historical
    except tables.TableError:
        # Marts can be judged where there is no landing zone; then they are as fresh as a daily load must be.
        return False


def _frame(engine: Engine, table: Table, suite: Suite, facts: table_metrics.TableMetrics) -> Any:
    return engine.newest_rows(table.source, _columns(suite), table.newest, facts.values)


def _columns(suite: Suite) -> set[str]:
    named = [getattr(item, field, None) for item in suite.expectations for field in ("column", "column_A", "column_B")]
    return {name for name in named if isinstance(name, str)}


def _limited_metrics(suite: Suite, facts: table_metrics.TableMetrics) -> dict[str, MeasuredMetric]:
    """Every fact that the suite has an expectation of."""
    limits = {getattr(one, "column", None): one for one in suite.expectations}
    known = {name: limits[f"table_{name}"] for name in facts.values if f"table_{name}" in limits}
    return {
        name: MeasuredMetric(facts.values[name], getattr(one, "min_value", None), getattr(one, "max_value", None))
        for name, one in known.items()
    }


def _describe_expectation(config: Any) -> str:
    """An expectation, the columns that it is about, and what may be in them."""
    names = [str(value) for key, value in config.kwargs.items() if key in ("column", "column_A", "column_B")]
    limits = {
        key: value for key, value in config.kwargs.items() if key in ("min_value", "max_value", "value_set", "regex")
    }
    return f"{config.type}({', '.join(names)}) {limits or ''}".rstrip()


def _describe_failure(result: Any) -> str:
    line = _describe_expectation(result.expectation_config)
    if result.exception_info and result.exception_info.get("raised_exception", False):
        return f"{line}: {result.exception_info.get('exception_message')}"
    found = result.result or {}
    if "observed_value" in found:
        return f"{line}: observed {found['observed_value']}"
    if "unexpected_count" in found:
        examples = found.get("partial_unexpected_list", [])[:3]
        return f"{line}: {found['unexpected_count']:,} of {found.get('element_count', 0):,} rows, e.g. {examples}"
    return f"{line}: {dict(result.exception_info or {})}"
