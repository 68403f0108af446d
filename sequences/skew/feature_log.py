"""Feature log: features of a sample of requests as JSON lines, written by the service and read by `sequences.skew`.

Files are `requests/dt=<day>/requests-*.jsonl`. A line contains ids, times and the features as the models received them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sequences.online.materialization_state import midnight_us
from sequences.sequence_views import ATTRIBUTES
from storage import json_lines

FEATURE_LOG_PREFIX = "requests"

LogPosition = tuple[str, int]
"""Position in an event store: its id, and the number of an event in the order of commit."""

FeatureLists = dict[str, list[Any]]


@dataclass(frozen=True)
class LoggedRequest:
    """Features that one request read."""

    request_id: str
    user_id: str
    at_us: int  # time of the request, µs UTC
    release: str  # release that served it
    applied: LogPosition | None  # the last event that was read; None: none was
    views: dict[str, FeatureLists]  # view ▸ attribute ▸ list, oldest first; an unknown ratio is None (JSON has no NaN)
    profile: dict[str, float | None]  # `view__feature` ▸ value of the ordinary features
    rows: tuple[str, int] | None = None
    """Day before which the materialized rows were known, and newest build in them; None: the request read no such rows."""

    @property
    def rows_us(self) -> int:
        """Time before which the materialized rows were known, µs UTC; 0 without rows."""
        return midnight_us(date.fromisoformat(self.rows[0])) if self.rows else 0

    @property
    def feature_names(self) -> list[str]:
        """`view__feature` of all features that were read."""
        return [f"{view}__{name}" for view, attributes in self.views.items() for name in attributes] + [*self.profile]

    def to_line(self) -> bytes:
        """The request as one JSON line, including the newline."""
        # Not `asdict`: it copies every element, 65 ms instead of 1 ms for a long history.
        return json.dumps(vars(self), separators=(",", ":"), allow_nan=False).encode() + b"\n"

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> LoggedRequest:
        """The request of the JSON object of a line.

        Raises:
            ValueError, LookupError, TypeError: The line has another format.
        """
        pairs = {name: (str(row[name][0]), int(row[name][1])) if row[name] else None for name in ("applied", "rows")}
        return cls(**row | pairs)


def read_requests(folder: Path, first: date, last: date) -> Iterator[LoggedRequest]:
    """The requests of the days `first` to `last` (inclusive) by request time; incomplete lines are skipped.

    A file's day is the day of writing, so a request just before midnight may be in the next day's file.
    """
    begin_us, end_us = midnight_us(first), midnight_us(last + timedelta(days=1))
    for offset in range((last - first).days + 2):
        for path in sorted((folder / f"dt={first + timedelta(days=offset)}").glob(f"{FEATURE_LOG_PREFIX}-*.jsonl")):
            for row in json_lines.read_rows(path):
                try:
                    request = LoggedRequest.from_row(row)
                except (ValueError, LookupError, TypeError):
                    continue
                if begin_us <= request.at_us < end_us:
                    yield request


def nan_to_none(attribute: str, values: Sequence[Any]) -> list[Any]:
    """The values of an attribute, with NaN replaced by None."""
    if ATTRIBUTES[attribute].kind != "ratio":
        return list(values)
    return [None if value is None or math.isnan(value) else value for value in values]
