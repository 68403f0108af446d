"""Small handmade logs in the exact format of real ones."""

from __future__ import annotations

import gzip
import json
import shutil
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from storage.files import atomic_write

HEADER = "user_id,ts,track_id,artist_id,ms_played,reason_start,reason_end,shuffle,skipped"
PLAY_ROWS = [f"{user},{1_500_000_000 + month * 2_700_000 + n * 61},{n % 3 + 1},1,{n * 7_000}"
        for user in (1, 2) for month in range(6) for n in range(5)]  # fmt: skip
"""60 plays of two users in six months, for `play_log`."""


def play_log(folder: Path, rows: list[str], names: bool = True) -> Path:
    """Write a play log folder. Rows are `user,ts,track,artist,ms`; the four trailing empty fields are added."""
    folder.mkdir(parents=True, exist_ok=True)
    _gzip(folder / "events.csv.gz", [HEADER, *(f"{row},,,," if row.count(",") == 4 else row for row in rows)])
    if names:
        _gzip(
            folder / "tracks.tsv.gz", ["track_id\tartist_id\ttrack_name", '1\t1\tSay "Hi"', "2\t1\tTwo", "3\t2\tThree"]
        )
        _gzip(folder / "artists.tsv.gz", ["artist_id\tartist_name", "1\tGhost, the", "2\tRise"])
    return folder


def export(folder: Path, **files: list[Any]) -> Path:
    """Write a streaming history with these lists of plays."""
    for name, rows in files.items():
        atomic_write(folder / f"{name}.json", json.dumps(rows))
    return folder


def copy_first_rows(logs: Path, folder: Path, count: int) -> Path:
    """Copy the names and the first plays of a real log."""
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(logs / "events.csv.gz", "rt") as source, gzip.open(folder / "events.csv.gz", "wt") as few:
        few.writelines(islice(source, count + 1))
    for name in ("tracks.tsv.gz", "artists.tsv.gz"):
        shutil.copyfile(logs / name, folder / name)
    return folder


def event(number: int = 0, **columns: Any) -> dict[str, Any]:
    """A valid row of `listening_events` with some columns replaced."""
    row = {
        "event_id": f"e{number}",
        "user_id": "u1",
        "sequence_number": number,
        "target_type": "track",
        "target_id": "t1",
        "occurred_at": f"2026-05-01T10:{number:02d}:00Z",
        "ended_at": f"2026-05-01T10:{number:02d}:00Z",
        "action": "like",
    }
    return row | columns


def json_lines(path: Path, rows: list[Any]) -> Path:
    """Write one JSON object per line; strings are written unchanged."""
    atomic_write(path, "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def landed(home: Path, table: str = "listening_events") -> pl.DataFrame:
    """All landed rows of a table."""
    return _all(home / "landing" / table)


def landed_events(home: Path, *order: str) -> list[tuple[Any, ...]]:
    """User, target, times, action and length of all landed events, in the order of these columns."""
    events = landed(home).sort(order)
    return events.select("user_id", "target_id", "occurred_at", "ended_at", "action", "played_ms").rows()


def at(text: str) -> datetime:
    """The UTC time of a text."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def quarantined(home: Path, table: str = "listening_events") -> pl.DataFrame:
    """All quarantined rows of a table."""
    return _all(home / "quarantine" / table)


def tree(home: Path) -> dict[str, bytes]:
    """Relative path and content of every file below a home."""
    return {str(file.relative_to(home)): file.read_bytes() for file in sorted(home.rglob("*")) if file.is_file()}


def _all(folder: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(file, hive_partitioning=False) for file in sorted(folder.glob("dt=*/*.parquet"))])


def _gzip(path: Path, lines: list[str]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
