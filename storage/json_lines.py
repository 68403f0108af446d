"""JSON Lines files: logs that grow by whole lines, of which readers leave out one that a crash or a backup has cut off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


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
