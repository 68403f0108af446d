"""Arrival times of events: when each event became available to the online store, as opposed to when it happened.

An event reported to the service has a position in the live log. An event from a file was landed when the Parquet file was
written, and reached the online store with a later materialization run. Independent of features.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sequences.online.materialization_state import MaterializationRun, read_materializations
from sequences.skew.feature_log import LoggedRequest, LogPosition
from storage import daily_files, object_store


@dataclass(frozen=True)
class Arrivals:
    """Arrivals of events of some users, and the materialization runs."""

    live_positions: dict[str, LogPosition]  # event_id ▸ position in the live log of the replica that it was reported to
    landed_us: dict[str, int]  # event_id ▸ landing time, µs UTC
    materializations: list[MaterializationRun]  # oldest first
    replicas: dict[str, str]  # file of the live log of a replica ▸ the replica

    @classmethod
    def load(cls, user_ids: Iterable[str], home: Path, since: date, landing: Path | None = None) -> Arrivals:
        """Arrivals of these users' events.

        Args:
            user_ids: The users.
            home: Folder with the live log, the materialization log and, by default, the landing zone.
            since: First day of the live log to read; landed events are read from the whole landing zone.
            landing: Landing zone, if it is not below `home`.
        """
        users, landing = set(user_ids), landing or home / "landing"
        positions, replicas = _live_positions(users, home / "live", since)
        return cls(positions, _landing_times(users, landing), read_materializations(home / "feast"), replicas)

    def materialization_for(self, request: LoggedRequest) -> MaterializationRun | None:
        """The last run that finished before the request; None before the first run. A later run may have been active."""
        finished = [run for run in self.materializations if run.finished_us <= request.at_us]
        return finished[-1] if finished else None

    def arrived_after(self, event_id: str, known_us: int, request: LoggedRequest) -> bool:
        """Whether the online store may have lacked the event when the request read it.

        A reported event: it was logged after the log position that the request recorded, or in the log of another
        replica. An event from a file: it was landed, or became known, after the last materialization.
        """
        position = self.live_positions.get(event_id)
        if position is not None:
            if request.applied is None or self.replicas.get(position[0]) != self.replicas.get(request.applied[0]):
                return True
            return _order(position) > _order(request.applied)
        run = self.materialization_for(request)
        return run is None or known_us >= run.as_of_us or self.landed_us.get(event_id, 0) > run.events_us


def _order(position: LogPosition) -> tuple[tuple[int, str], int]:
    file, offset = position
    return daily_files.sort_key(file), offset


def _live_positions(users: set[str], folder: Path, since: date) -> tuple[dict[str, LogPosition], dict[str, str]]:
    """Positions of the users' events in the logs of all replicas, and the replica of each file."""
    positions: dict[str, LogPosition] = {}
    replicas: dict[str, str] = {}
    files = [(log, path) for log in daily_files.log_folders(folder) for path in daily_files.list_files(log, "events")]
    for log, path in files:
        name = path.relative_to(log).as_posix()
        if log != folder:
            replicas[name] = log.name
        if path.parent.name < f"dt={since}":
            continue
        for event, offset in daily_files.read_rows(path):
            if event.get("user_id") in users:
                positions.setdefault(event["event_id"], (name, offset))
    return positions, replicas


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
    written_us = {file: paths[file].stat().st_mtime_ns // 1000 for file in {file for _, file in rows}}
    landed_us: dict[str, int] = {}
    for event_id, file in rows:
        landed_us[event_id] = min(written_us[file], landed_us.get(event_id, written_us[file]))
    return landed_us
