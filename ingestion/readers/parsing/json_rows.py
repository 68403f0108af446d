"""JSON objects as rows of a contract table, in types that `validation.conform` takes to the contract's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from ingestion import contract


def parse_object(text: str) -> tuple[dict[str, Any], str | None]:
    """The object of a line, or an empty one and the reason why it is none."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return {}, "the line is not JSON"
    return (row, None) if isinstance(row, dict) else ({}, "the line is not a JSON object")


def to_frame(table: str, objects: Sequence[Mapping[str, Any]], reasons: Sequence[str | None]) -> pl.DataFrame:
    """One row an object: contract columns as text (lists as lists), and `reason` where it was given or found."""
    series, found = [], list(reasons)
    for field in contract.source_schema(table):
        values = [row.get(field.name) for row in objects]
        column, problems = _lists(values, field) if pa.types.is_list(field.type) else _texts(values, field)
        for number, problem in problems.items():
            found[number] = found[number] or problem  # the first that is found
        series.append(pl.Series(field.name, column, _loose_type(field.type)))
    return pl.DataFrame(series).with_columns(pl.Series("reason", found, pl.String))


Problems = dict[int, str]
"""Number of a row ▸ what is wrong with its value."""


def _texts(values: list[Any], field: pa.Field) -> tuple[list[str | None], Problems]:
    kinds = set(map(type, values))
    if kinds <= {str, type(None)}:
        return values, {}
    nested = [number for number, value in enumerate(values) if type(value) in (dict, list)]
    return list(map(_text, values)), dict.fromkeys(nested, f"{field.name} is not a single value")


def _text(value: Any) -> str | None:
    if value is None or type(value) is str:
        return value
    if type(value) is int:
        return str(value)  # the text of `dumps`, sooner
    return None if type(value) in (dict, list) else json.dumps(value)


def _lists(values: list[Any], field: pa.Field) -> tuple[list[list[Any] | None], Problems]:
    read = [_list(value, field) for value in values]
    problems = {number: problem for number, (_, problem) in enumerate(read) if problem is not None}
    return [value for value, _ in read], problems


def _list(value: Any, field: pa.Field) -> tuple[list[Any] | None, str | None]:
    if value is None:
        return None, None
    if not isinstance(value, list) or any(isinstance(item, dict | list) or item is None for item in value):
        return None, f"{field.name} is not a list of values"
    if pa.types.is_string(field.type.value_type):
        return [str(item) for item in value], None
    if not all(isinstance(item, int | float) for item in value):
        return None, f"{field.name} is not a list of numbers"
    return [float(item) for item in value], None


def _loose_type(kind: pa.DataType) -> pl.DataType:
    if not pa.types.is_list(kind):
        return pl.String()
    return pl.List(pl.String) if pa.types.is_string(kind.value_type) else pl.List(pl.Float32)
