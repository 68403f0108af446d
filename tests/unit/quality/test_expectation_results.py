"""Expectations and observations in words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from quality.expectation_results import build_check


def result(kind: str, kwargs: dict[str, Any], found: dict[str, Any], success: bool = True, error: str = "") -> Any:
    raised = {"raised_exception": bool(error), "exception_message": error}
    config = SimpleNamespace(type=kind, kwargs=kwargs)
    return SimpleNamespace(expectation_config=config, result=found, success=success, exception_info=raised)


@pytest.mark.parametrize(
    ("kind", "kwargs", "found", "expected"),
    [
        ("expect_column_values_to_not_be_null", {"column": "a"}, {"element_count": 1200, "unexpected_count": 0},
         ("a", "has a value in every row", "1,200 rows")),
        ("expect_column_values_to_be_in_set", {"column": "a", "value_set": ["x", "y"]},
         {"element_count": 9, "unexpected_count": 2, "partial_unexpected_list": ["z", "z"]},
         ("a", "is one of x, y", "2 of 9 rows, such as z, z")),
        ("expect_column_values_to_be_between", {"column": "a", "min_value": 0, "max_value": 86400000},
         {"element_count": 9, "unexpected_count": 0}, ("a", "is 0 to 86,400,000", "9 rows")),
        ("expect_column_values_to_be_between", {"column": "table_volume_ratio", "min_value": 0.2, "max_value": 5},
         {"element_count": 9, "unexpected_count": 9, "partial_unexpected_list": [0.125]},
         ("volume ratio", "is 0.2 to 5", "0.125")),
        ("expect_column_values_to_be_between", {"column": "table_volume_ratio", "max_value": 5},
         {"element_count": 9, "unexpected_count": 0, "missing_count": 9}, ("volume ratio", "is at most 5", "not known")),
        ("expect_table_row_count_to_be_between", {"min_value": 1}, {"observed_value": 54321},
         ("the table", "has at least 1 rows", "54,321")),
        ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "b", "column_B": "a", "or_equal": True},
         {"element_count": 9}, ("b", "is not less than a", "9 rows")),
        ("expect_column_values_to_match_regex", {"column": "a", "regex": "^x"}, {"element_count": 9},
         ("a", "matches ^x", "9 rows")),
    ],
)  # fmt: skip
def test_a_check_names_column_expectation_and_observation(kind, kwargs, found, expected) -> None:
    check = build_check(result(kind, kwargs, found))
    assert (check.column, check.text, check.observed) == expected


def test_an_error_is_the_observation() -> None:
    check = build_check(result("expect_column_values_to_not_be_null", {"column": "a"}, {}, False, "no column a"))
    assert not check.is_passed and check.observed == "no column a"
