"""Names and order of the recommender's JSON Lines files: `dt=<YYYY-MM-DD>/<name>-<number>-<pid>.jsonl`.

The number increases with every file of a name, also if the clock was set back, so it orders the files. The day is that of the
clock. Independent of the content of lines.
"""

from __future__ import annotations

from pathlib import Path


def list_files(folder: Path, name: str) -> list[Path]:
    """All files of a name, oldest first."""
    return sorted(folder.glob(f"dt=*/{name}-*.jsonl"), key=lambda path: sort_key(path.name))


def sort_key(path: str) -> tuple[int, str]:
    """Sort key of a file by age, given its name or its path."""
    name = path.rpartition("/")[2]
    return number_of(name), name


def number_of(path: str) -> int:
    """The number of a file, given its name or its path; 0 if the name has none."""
    parts = path.rpartition("/")[2].removesuffix(".jsonl").split("-")
    return int(parts[-2]) if len(parts) > 2 and parts[-2].isdecimal() else 0
