"""Results of single expectations in words, for the page of a validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ROWS = "the table"


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
    """The check of one result of Great Expectations; `metrics` are those of the whole table by name."""
    config = result.expectation_config
    column = str(config.kwargs.get("column") or config.kwargs.get("column_A") or ROWS)
    if (name := column.removeprefix("table_")) != column:  # a constant column
        value = metrics[name]
        column, observed = name.replace("_", " "), "not known" if value is None else f"{value:,.4g}"
    else:
        observed = _observed(result)
    return Check(column, _expectation(config.type, config.kwargs), observed, bool(result.success))


def _expectation(kind: str, kwargs: dict[str, Any]) -> str:
    if kind == "expect_column_values_to_not_be_null":
        return "has a value in every row"
    if kind == "expect_column_values_to_be_in_set":
        return "is one of " + ", ".join(map(str, kwargs["value_set"]))
    if kind == "expect_column_values_to_match_regex":
        return f"matches {kwargs['regex']}"
    if kind == "expect_column_pair_values_a_to_be_greater_than_b":
        return f"is {'not less than' if kwargs.get('or_equal') else 'greater than'} {kwargs['column_B']}"
    if kind in ("expect_column_values_to_be_between", "expect_table_row_count_to_be_between"):
        what = "has" if kind.startswith("expect_table") else "is"
        unit = " rows" if kind.startswith("expect_table") else ""
        return f"{what} {_range(kwargs.get('min_value'), kwargs.get('max_value'))}{unit}"
    return kind.removeprefix("expect_").replace("_", " ")  # an expectation that another project added


def _range(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"at most {high:,.10g}" if high is not None else f"at least {low:,.10g}"
    return f"{low:,.10g}" if low == high else f"{low:,.10g} to {high:,.10g}"


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
