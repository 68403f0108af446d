"""Histories of reports: a JSON Lines file with a line per day."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from storage.files import atomic_write
from storage.json_lines import read_rows

KEPT_DAYS = 400


def append_to_history(file: Path, as_of: str, values: Mapping[str, float | None]) -> None:
    """Add the values of a day; they replace the values that an earlier run wrote for it.

    Args:
        file: History of one report.
        as_of: ISO date.
        values: Name → value; None if it was not known.
    """
    rows = [row for row in read_history(file) if row["as_of"] != as_of]
    rows.append({"as_of": as_of, **values})
    rows.sort(key=lambda row: str(row["as_of"]))
    atomic_write(file, "".join(json.dumps(row) + "\n" for row in rows[-KEPT_DAYS:]))


def read_history(file: Path) -> list[dict[str, object]]:
    """Rows of the history by date; lines that are not JSON objects with a date are left out."""
    rows = read_rows(file) if file.exists() else ()
    return [row for row in rows if isinstance(row.get("as_of"), str)]
