"""JSON Lines files: logs that grow by whole lines, of which readers leave out one that a crash or a backup has cut off, and histories
of reports with one line per day.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from storage.files import atomic_write


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Each JSON object of a file; incomplete and damaged lines, and the blanks of erased ones, are left out."""
    with path.open("rb") as file:
        for line in file:
            try:
                row = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                continue
            if isinstance(row, dict):
                yield row


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
