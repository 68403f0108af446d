"""Log of finished materialization runs, one JSON line per run in Feast's folder.

The skew comparison reads it to determine what the online store contained at the time of a request.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

MATERIALIZATION_LOG = "materialized.jsonl"


@dataclass(frozen=True)
class MaterializationRun:
    """One finished materialization run; times in µs UTC."""

    as_of_us: int  # events known before this time were written
    events_us: int  # publication time of the event table that was read
    finished_us: int


def record_materialization(feast_folder: Path, as_of: date, events: Path) -> None:
    """Append a run that has just finished.

    Args:
        feast_folder: Folder of the log.
        as_of: Day before which the events were known (UTC midnight).
        events: Path of the event table that was read; its modification time is recorded.
    """
    midnight = datetime(as_of.year, as_of.month, as_of.day, tzinfo=UTC)
    line = {
        "as_of_us": int(midnight.timestamp()) * 1_000_000,
        "events_us": events.stat().st_mtime_ns // 1000,
        "finished_us": int(datetime.now(UTC).timestamp() * 1_000_000),
    }
    with (feast_folder / MATERIALIZATION_LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_materializations(feast_folder: Path) -> list[MaterializationRun]:
    """The finished runs, oldest first."""
    path = feast_folder / MATERIALIZATION_LOG
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [MaterializationRun(**json.loads(line)) for line in lines]
