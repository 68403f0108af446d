"""Names and order of the recommender's JSON Lines files: `dt=<YYYY-MM-DD>/<name>-<number>-<pid>.jsonl`.

The number increases with every file of a name, also if the clock was set back, so it orders the files. The day is that of the
clock. A file only grows, by whole lines; only a crash leaves an incomplete last one. Independent of the content of lines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TAIL_BYTES = 1 << 20


def list_files(folder: Path, name: str) -> list[Path]:
    """All files of a name, oldest first."""
    return sorted(folder.glob(f"dt=*/{name}-*.jsonl"), key=lambda path: sort_key(path.name))


def log_folders(folder: Path) -> list[Path]:
    """The folders with a log of one writer: the folder itself, and that of each replica of a cluster below it."""
    return [folder, *sorted(path for path in folder.glob("*") if path.is_dir() and not path.name.startswith("dt="))]


def sort_key(path: str) -> tuple[int, str]:
    """Sort key of a file by age, given its name or its path."""
    name = path.rpartition("/")[2]
    return number_of(name), name


def number_of(path: str) -> int:
    """The number of a file, given its name or its path; 0 if the name has none."""
    parts = path.rpartition("/")[2].removesuffix(".jsonl").split("-")
    return int(parts[-2]) if len(parts) > 2 and parts[-2].isdecimal() else 0


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


def read_lines(path: Path, offset: int = 0) -> Iterator[tuple[bytes, int]]:
    """Each whole line from `offset` (the start of a line) on, with the offset after it."""
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield line, offset


def read_rows(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Each JSON object of a file with the offset after its line; damaged lines and the blanks of erased ones are left out."""
    for line, offset in read_lines(path):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row, offset
