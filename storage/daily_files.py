"""JSON Lines files: logs that grow by whole lines, of which readers leave out one that a crash or a backup has cut off, and histories
of reports with one line per day.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from storage.files import atomic_write


def spellings(text: str) -> set[bytes]:
    """How a text is written as a JSON string, with non-ASCII characters escaped and unescaped."""
    return {json.dumps(text, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass") for is_ascii in (True, False)}


def read_rows(path: Path, mentioned: str | None = None) -> Iterator[dict[str, Any]]:
    """Each JSON object of a file, or those that may have the string `mentioned`, without incomplete and damaged lines."""
    wanted = {b""} if mentioned is None else spellings(mentioned)
    with path.open("rb") as file:
        for line in file:
            if not any(one in line for one in wanted):
                continue
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
