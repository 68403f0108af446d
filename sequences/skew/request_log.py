"""What a request read, as a line of JSON: written by the service for a sample of requests, read by `sequences.skew.compare`.

`requests/dt=<day>/requests-*.jsonl`. A line holds ids, times and the features as the models received them, no more.
Knows nothing about who writes, or what the features should have been.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sequences.views import ATTRIBUTES

REQUEST_LOG_PREFIX = "requests"

LogPosition = tuple[str, int]
"""A place in the live event log: the file relative to its folder, and the offset after the line. They sort by time."""

FeatureLists = dict[str, list[Any]]


@dataclass(frozen=True)
class LoggedRequest:
    """One request's features.

    Attributes:
        at_us: the request's time, µs UTC.
        applied: everything up to here in the live log was in the online store before it was read; None: nothing yet.
        views: view ▸ attribute ▸ list, oldest first; an unknown ratio is None, for JSON has no NaN.
        profile: `view__feature` ▸ value of the ordinary features.
        is_read: False where the online store did not answer, so that the models were given nothing.
    """

    request_id: str
    user_id: str
    at_us: int
    release: str
    applied: LogPosition | None
    views: dict[str, FeatureLists]
    profile: dict[str, float | None]
    is_read: bool = True

    def to_line(self) -> bytes:
        """One line, with its newline."""
        # Not `asdict`: that copies every element on its own, 65 ms for a long history where this takes one.
        return json.dumps(vars(self), separators=(",", ":"), allow_nan=False).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> LoggedRequest:
        """What `to_line` wrote.

        Raises:
            ValueError, KeyError, TypeError: the line is something else.
        """
        row = json.loads(line)
        applied = row["applied"]
        return cls(**{**row, "applied": (str(applied[0]), int(applied[1])) if applied else None})


def read_requests(folder: Path, first: date, last: date) -> Iterator[LoggedRequest]:
    """The requests of the days `first` to `last`, both included, by their own time; torn lines are passed over.

    A file's day is the day of writing, which a request just before midnight may miss by a moment.
    """
    begin_us, end_us = _midnight_us(first), _midnight_us(last + timedelta(days=1))
    for offset in range((last - first).days + 2):
        for path in sorted((folder / f"dt={first + timedelta(days=offset)}").glob(f"{REQUEST_LOG_PREFIX}-*.jsonl")):
            with path.open("rb") as file:
                for line in file:
                    try:
                        request = LoggedRequest.from_line(line)
                    except (ValueError, KeyError, TypeError):
                        continue
                    if begin_us <= request.at_us < end_us:
                        yield request


def nan_to_none(attribute: str, values: Sequence[Any]) -> list[Any]:
    """The values of an attribute with None for NaN."""
    if ATTRIBUTES[attribute].kind != "ratio":
        return list(values)
    return [None if value is None or math.isnan(value) else value for value in values]


def _midnight_us(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
