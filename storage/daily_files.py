"""JSON Lines files that grow by whole lines; only a crash leaves an incomplete last one. Independent of the content of lines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TAIL_BYTES = 1 << 20


def truncate_torn_line(path: Path) -> int:
    """Remove an incomplete last line, which was never acknowledged; return the number of bytes removed."""
    size = path.stat().st_size
    with path.open("rb+") as file:
        end, tail = size, b""
        while end > 0 and b"\n" not in tail:
            start = max(0, end - TAIL_BYTES)
            file.seek(start)
            tail, end = file.read(end - start), start
        kept_size = end + tail.rfind(b"\n") + 1
        if kept_size < size:
            file.truncate(kept_size)
            os.fsync(file.fileno())
    return size - kept_size


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
