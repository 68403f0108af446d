"""Reported events: rows of the data contract's `listening_events`, which may lack ids and times.

The columns and their rules come from `event_store.event_rules`, which landing checks, too. Independent of HTTP or storage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any

from pydantic import ConfigDict, Field, create_model

from event_store.event_rules import (
    DAY_MS,
    EVENT_COLUMNS,
    EVENT_RULES,
    ID_PATTERN,
    MAX_AGE_US,
    MAX_FUTURE_US,
    MAX_ID_BYTES,
    Column,
    Event,
    Rule,
    column_rules,
    find_violation,
    time_rules,
)

COLUMNS = tuple(column.name for column in EVENT_COLUMNS)
COLUMN_RULES = tuple(rule for column in EVENT_COLUMNS for rule in column_rules(column) if rule.only != "landed")
MICROSECONDS_PER_SECOND = 1_000_000  # times are in µs since 1970, UTC
MIN_PLAUSIBLE_US = 10_000_000_000_000  # April 1970; seconds and milliseconds of this century are below it
MAX_INTEGER = 2**63 - 1
TOO_OLD = (
    f"more than {MAX_AGE_US // (1000 * DAY_MS)} days ago; land history with `python -m ingestion.land`. Integers are microseconds since "
    "1970: multiply seconds by 1,000,000, milliseconds by 1,000"
)
TOO_NEW = f"more than {MAX_FUTURE_US // 60_000_000} minutes ahead of the server's clock; check the device's clock"

Text = Annotated[str, Field(min_length=1, max_length=MAX_ID_BYTES, pattern=ID_PATTERN)]
KINDS: dict[str, tuple[Any, Any, str]] = {
    "text": (Text, str, "text, not empty and without white space at its ends"),
    "time": (str | int, int, "a time: ISO 8601 in UTC, or an integer of microseconds since 1970"),
    "int64": (int, int, "an integer from 0"),
    "int32": (int, int, "an integer from 0"),
    "double": (float, int | float, "a number from 0"),
}
"""Kind of a column → type of the documented field, type of its values in Python, and what they are."""


class EventRejected(ValueError):
    """A row violates the contract; the message is returned to the client."""


def _model_field(column: Column) -> tuple[Any, Any]:
    """Type and description of a column in the OpenAPI document."""
    kind = str if column.allowed else KINDS[column.kind][0]
    values: dict[str, Any] | None = {"enum": list(column.allowed)} if column.allowed else None
    if column.is_required and not column.is_filled_in:
        return kind, Field(description=column.reported, json_schema_extra=values)
    return kind | None, Field(default=None, description=column.reported)


_FIELDS: dict[str, Any] = {column.name: _model_field(column) for column in EVENT_COLUMNS}
ReportedEvent = create_model(
    "ReportedEvent",
    __config__=ConfigDict(extra="forbid"),
    __doc__="One event: a row of the data contract's `listening_events`. Every column that is not required may be null.",
    **_FIELDS,
)
"""For documentation; `read_event` validates rows."""


def read_event(row: object, now_us: int) -> Event:
    """Parse a row and fill in the columns that it omits.

    A missing time is `now_us`; a play without `occurred_at` began `played_ms` before it ended. A missing `event_id` is a
    hash of the event and its times: the same row with a time sent twice is one event, and without times it is two. Clients
    that may send a row without times again, or report real repeats at one time, must send ids.

    Raises:
        EventRejected: The row violates the contract; the message names the column and the remedy.
    """
    if not isinstance(row, Mapping):
        raise EventRejected(f"an event is an object with columns, not {type(row).__name__}")
    unknown = sorted(str(name) for name in row.keys() - set(COLUMNS))
    if unknown:
        raise EventRejected(f"unknown column {unknown[0][:64]!r}; the contract has {', '.join(COLUMNS)}")
    event = _read_columns(row)
    length = (event["played_ms"] or 0) * 1000
    if event["ended_at"] is None:
        event["ended_at"] = now_us if event["occurred_at"] is None else event["occurred_at"] + length
    if event["occurred_at"] is None:
        event["occurred_at"] = event["ended_at"] - length
    _check(event, _event_rules(now_us))
    event["event_id"] = event["event_id"] or _event_id(event)
    return event


def _read_columns(row: Mapping[str, Any]) -> Event:
    event = {column.name: _read_value(column, row.get(column.name)) for column in EVENT_COLUMNS}
    _check(event, COLUMN_RULES)
    return event


@lru_cache(maxsize=2)
def _event_rules(now_us: int) -> tuple[Rule, ...]:
    earliest, end = max(now_us - MAX_AGE_US, MIN_PLAUSIBLE_US), now_us + MAX_FUTURE_US + 1
    return (*EVENT_RULES, *time_rules("occurred_at", "ended_at", earliest, end, TOO_OLD, TOO_NEW))


def _check(event: Event, rules: Iterable[Rule]) -> None:
    violated = find_violation(event, rules)
    if violated:
        raise EventRejected(violated.reason.format_map({name: _format(name, event[name]) for name in violated.columns}))


def _read_value(column: Column, value: Any) -> Any:
    from sequences.online.live_events import (
        parse_time_us,
    )  # imports Feast, which the service's supervisor does not need

    if value is None:
        return None
    if column.kind == "time" and isinstance(value, str):
        with suppress(ValueError, OverflowError):
            return parse_time_us(value)
    _, types, description = KINDS[column.kind]
    is_valid = isinstance(value, types) and not isinstance(value, bool)
    if not is_valid or not (value.strip() == value != "" if column.kind == "text" else 0 <= value <= MAX_INTEGER):
        raise EventRejected(f"{column.name} must be {description}")
    return float(value) if column.kind == "double" else value


def _format(name: str, value: Any) -> str:
    """A value in a reason."""
    if not name.endswith("_at"):
        return repr(value[:64]) if isinstance(value, str) else str(value)
    try:
        return datetime.fromtimestamp(value // MICROSECONDS_PER_SECOND, tz=UTC).isoformat()
    except (OverflowError, OSError, ValueError):
        return f"{value} µs since 1970"


def _event_id(event: Event) -> str:
    parts = [event[name] for name in COLUMNS if name not in ("event_id", "sequence_number")]
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
