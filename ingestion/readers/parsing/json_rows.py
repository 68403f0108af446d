"""Reads JSON lines in blocks and converts JSON objects to rows of a contract table.

Values keep loose types, which `validation.conform` converts to those of the contract.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

import polars as pl
import pyarrow as pa

from ingestion import contract, sources
from ingestion.sources import SourceError

LINES_PER_BLOCK = 100_000
READ_ERRORS = (*sources.READ_ERRORS, lzma.LZMAError, pa.ArrowInvalid)
"""Exceptions that reading a truncated or damaged file raises."""

Problems = dict[int, str]
"""Row number to the problem with its value."""


def read_line_blocks(stream: IO[bytes], name: str) -> Iterator[list[tuple[int, str]]]:
    """Yield the non-empty lines as (line number from 1, text) in blocks; invalid UTF-8 bytes become U+FFFD.

    Raises:
        SourceError: The file `name` is damaged.
    """
    lines: list[tuple[int, str]] = []
    try:
        for number, line in enumerate(stream, start=1):
            text = line.decode("utf-8", "replace").strip()
            if text:
                lines.append((number, text))
            if len(lines) == LINES_PER_BLOCK:
                yield lines
                lines = []
    except READ_ERRORS as error:
        raise SourceError(f"{name} is damaged ({error}); get the file again") from error
    if lines:
        yield lines


def parse_object(text: str) -> tuple[dict[str, Any], str | None]:
    """The JSON object of a line, or an empty object and the reason why the line is not one."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return {}, "the line is not JSON"
    return (row, None) if isinstance(row, dict) else ({}, "the line is not a JSON object")


def to_frame(table: str, objects: Sequence[Mapping[str, Any]], reasons: Sequence[str | None]) -> pl.DataFrame:
    """One row per object: the contract columns as text (lists as lists) and the rejection `reason`.

    Args:
        table: Contract table.
        objects: JSON objects.
        reasons: Known rejection reason of each object, or None.
    """
    series, all_reasons = [], list(reasons)
    for field in contract.source_schema(table):
        values = [row.get(field.name) for row in objects]
        column, problems = _lists(values, field) if pa.types.is_list(field.type) else _texts(values, field)
        for number, problem in problems.items():
            all_reasons[number] = all_reasons[number] or problem  # keep the first reason
        series.append(pl.Series(field.name, column, _loose_type(field.type)))
    return pl.DataFrame(series).with_columns(pl.Series("reason", all_reasons, pl.String))


def _texts(values: list[Any], field: pa.Field) -> tuple[list[str | None], Problems]:
    types = set(map(type, values))
    if types <= {str, type(None)}:
        return values, {}
    nested = [number for number, value in enumerate(values) if type(value) in (dict, list)]
    return list(map(_text, values)), dict.fromkeys(nested, f"{field.name} is not a single value")


def _text(value: Any) -> str | None:
    if value is None or type(value) is str:
        return value
    if type(value) is int:
        return str(value)  # equals json.dumps(value) and is faster
    return None if type(value) in (dict, list) else json.dumps(value)


def _lists(values: list[Any], field: pa.Field) -> tuple[list[list[Any] | None], Problems]:
    parsed = [_list(value, field) for value in values]
    problems = {number: problem for number, (_, problem) in enumerate(parsed) if problem is not None}
    return [value for value, _ in parsed], problems


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


def _loose_type(arrow_type: pa.DataType) -> pl.DataType:
    if not pa.types.is_list(arrow_type):
        return pl.String()
    return pl.List(pl.String) if pa.types.is_string(arrow_type.value_type) else pl.List(pl.Float32)
