"""When events came to us, which is another thing than when they happened: what a request could know, and what not.

An event reported to the service has a place in the live log; one that came in a file was landed when its file was
written, and reached the online store with a materialisation after that. Knows nothing about features.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from sequences.skew.request_log import LoggedRequest, LogPosition
from storage import object_store

MATERIALIZATION_LOG = "materialized.jsonl"


@dataclass(frozen=True)
class MaterializationRun:
    """One finished materialisation, times in µs UTC: what was known before `as_of_us`, of an event table that was
    published at `events_us`.
    """

    as_of_us: int
    events_us: int
    finished_us: int


def record_materialization(feast_folder: Path, as_of: date, events: Path) -> None:
    """Notes that a materialisation of the event table `events` has just finished."""
    midnight = datetime(as_of.year, as_of.month, as_of.day, tzinfo=UTC)
    line = {
        "as_of_us": int(midnight.timestamp()) * 1_000_000,
        "events_us": events.stat().st_mtime_ns // 1000,
        "finished_us": int(datetime.now(UTC).timestamp() * 1_000_000),
    }
    with (feast_folder / MATERIALIZATION_LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_materializations(feast_folder: Path) -> list[MaterializationRun]:
    """The finished materialisations, oldest first."""
    path = feast_folder / MATERIALIZATION_LOG
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [MaterializationRun(**json.loads(line)) for line in lines]


@dataclass(frozen=True)
class Arrivals:
    """Event ▸ place in the live log, event ▸ when it was landed (µs UTC), and the materialisations."""

    live_positions: dict[str, LogPosition]
    landed_us: dict[str, int]
    materializations: list[MaterializationRun]

    @classmethod
    def load(cls, user_ids: Iterable[str], home: Path, since: date, landing: Path | None = None) -> Arrivals:
        """Of every event of these users, reported since a day or landed ever; `landing` is below `home` or given."""
        users, landing = set(user_ids), landing or home / "landing"
        return cls(
            _live_positions(users, home / "live", since),
            _landing_times(users, landing),
            read_materializations(home / "feast"),
        )

    def materialization_for(self, request: LoggedRequest) -> MaterializationRun | None:
        """The materialisation that a request's batch part is at least from; None before the first."""
        finished = [batch for batch in self.materializations if batch.finished_us <= request.at_us]
        return finished[-1] if finished else None

    def arrived_after(self, event_id: str, known_us: int, request: LoggedRequest) -> bool:
        """Whether the online store need not have had the event when the request read it.

        Of a reported event: it was logged after the mark that the request noted. Of an event from a file: it was
        landed, or became known, after what had been materialised.
        """
        position = self.live_positions.get(event_id)
        if position is not None:
            return request.applied is None or position > request.applied
        batch = self.materialization_for(request)
        return batch is None or known_us >= batch.as_of_us or self.landed_us.get(event_id, 0) > batch.events_us

    def is_landed(self, event_id: str) -> bool:
        """Whether the event could be in the event table by now."""
        return event_id in self.landed_us


def _live_positions(users: set[str], folder: Path, since: date) -> dict[str, LogPosition]:
    found: dict[str, LogPosition] = {}
    for path in sorted(folder.glob("dt=*/events-*.jsonl"), key=lambda path: (path.parent.name, path.name)):
        if path.parent.name < f"dt={since}":
            continue
        name, offset = path.relative_to(folder).as_posix(), 0
        with path.open("rb") as file:
            for line in file:
                offset += len(line)
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict) and event.get("user_id") in users:
                    found.setdefault(event["event_id"], (name, offset))
    return found


def _landing_times(users: set[str], folder: Path) -> dict[str, int]:
    paths = {str(path): path for path in object_store.list_files(folder / "listening_events", "dt=*/*.parquet")}
    if not paths or not users:
        return {}
    with object_store.connect_duckdb(folder) as connection:
        rows = connection.execute(
            "select event_id, filename from read_parquet(?, filename = true, hive_partitioning = false) "
            "where user_id in (select unnest(?))",
            [list(paths), sorted(users)],
        ).fetchall()
    written = {file: paths[file].stat().st_mtime_ns // 1000 for file in {file for _, file in rows}}
    landed: dict[str, int] = {}
    for event_id, file in rows:
        landed[event_id] = min(written[file], landed.get(event_id, written[file]))
    return landed
