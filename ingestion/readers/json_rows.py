"""JSON objects as rows of a contract table, in types that `validation.conform` takes to the contract's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from ingestion import contract


def parsed(text: str) -> tuple[dict[str, Any], str | None]:
    """The object of a line, or an empty one and the reason why it is none."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return {}, "the line is not JSON"
    return (row, None) if isinstance(row, dict) else ({}, "the line is not a JSON object")


def frame(table: str, objects: Sequence[Mapping[str, Any]], reasons: Sequence[str | None]) -> pl.DataFrame:
    """One row an object: contract columns as text (lists as lists), and `reason` where it was given or found."""
    schema = contract.source_schema(table)
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    found: list[str | None] = []
    for row, reason in zip(objects, reasons, strict=True):
        for field in schema:
            value, problem = _value(row.get(field.name), field)
            columns[field.name].append(value)
            reason = reason or problem  # noqa: PLW2901 - the first that is found
        found.append(reason)
    series = [pl.Series(field.name, columns[field.name], _loose_type(field.type)) for field in schema]
    return pl.DataFrame(series).with_columns(pl.Series("reason", found, pl.String))


def _value(value: Any, field: pa.Field) -> tuple[Any, str | None]:
    if value is None:
        return None, None
    if not pa.types.is_list(field.type):
        if isinstance(value, dict | list):
            return None, f"{field.name} is not a single value"
        return (value if isinstance(value, str) else json.dumps(value)), None
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
