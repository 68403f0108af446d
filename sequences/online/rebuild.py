"""`python -m sequences.online.rebuild`: write the online store anew from the marts and the recommender's event log.

For a store that was lost, damaged or emptied. The online store, Feast's registry and the digests of materialization are derived
data: this command removes a SQLite store, the registry and the digests, runs `feast apply`, applies the events of the log except
those of erased users, and materializes the last materialized day (or `--as-of`). A Redis store is not emptied: its rows are
written again. Stop the recommender and the consumers first.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path
from typing import IO, Any

import duckdb

from config import settings
from config.settings import Settings
from config.tool_environment import tool_environment
from sequences.feast_store import FEATURE_REPOSITORY, local_marts_folder, open_store
from sequences.online.materialization_state import (
    digests_file,
    materialization_lock,
    read_materializations,
    record_materialization,
)
from sequences.online.materialize import materialize
from sequences.online.reader_writer import OnlineWriter
from storage import daily_files, suppression_list
from storage.file_lock import LockHeld, file_lock

EVENTS_PER_BATCH = 1000
SQLITE_SUFFIXES = ("", "-wal", "-shm", "-journal")

ContractRow = Mapping[str, Any]


class RebuildError(RuntimeError):
    """The store cannot be rebuilt; the message names the reason and the remedy."""


@dataclass(frozen=True)
class Rebuilt:
    """What was written."""

    rows: Mapping[str, int]  # view ▸ rows of the batch part
    events: int  # events of the log that are in the live part or were already known
    invalid: int  # events of the log that cannot be applied


def rebuild(here: Settings, as_of: date | None = None) -> Rebuilt:
    """Rebuild the online store of a home.

    Args:
        here: The settings; also those of this process.
        as_of: Day to materialize; default: the last materialized one.

    Raises:
        RebuildError: The recommender is running, no day was materialized before, or `feast apply` fails.
    """
    if as_of is None:
        runs = read_materializations(here.feast)
        if not runs:
            raise RebuildError(f"{here.feast} has no record of a materialization; give the day: --as-of YYYY-MM-DD")
        as_of = datetime.fromtimestamp(runs[-1].as_of_us / 1e6, UTC).date()
    state_file = digests_file(here.feast, here.online_store)
    with _stopped_recommender(here):
        with materialization_lock(state_file):
            _remove_sqlite_file(state_file)
            (here.feast / "registry.db").unlink(missing_ok=True)
            if here.online_store == "sqlite":
                _remove_sqlite_file(here.feast / "online.db")
        _apply_features()
        store, marts = open_store(), local_marts_folder()
        # Before the batch part: a writer removes live events that the batch part covers from rows that are older than it.
        events, invalid = _replay(here, OnlineWriter(store, _track_durations(marts)))
        rows = materialize(store, as_of, marts, state_file) or {}
        record_materialization(here.feast, as_of, marts)
    return Rebuilt(rows, events, invalid)


def _stopped_recommender(here: Settings) -> IO[str]:
    """Hold the lock of the event log, whose holder may write the online store.

    Raises:
        RebuildError: A recommender holds it.
    """
    try:
        return file_lock(here.event_log_lock, timeout_s=0)
    except LockHeld as error:
        raise RebuildError(f"a recommender writes the online store: {error} (make stop), then run this again") from None


def _remove_sqlite_file(path: Path) -> None:
    for suffix in SQLITE_SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _apply_features() -> None:
    """Run `feast apply`, which writes the registry and creates the tables."""
    command = [sys.executable, "-m", "sequences.feast_command", "-c", str(FEATURE_REPOSITORY), "apply"]
    done = subprocess.run(
        command,
        env={**os.environ, **tool_environment(settings.load_settings())},
        cwd=settings.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RebuildError(f"`feast -c feature_repo apply` failed: {(done.stdout + done.stderr)[-2000:]}")


def _track_durations(marts: Path) -> Callable[[str], int | None]:
    """Function track_id ▸ length in ms, None if unknown."""
    path = marts / "tracks.parquet"
    if not path.exists():
        return lambda _: None
    with duckdb.connect() as connection:
        query = "select track_id, duration_ms from read_parquet(?) where duration_ms > 0"
        rows = connection.execute(query, [str(path)]).fetchall()
    return {str(track): int(duration_ms) for track, duration_ms in rows}.get


def _replay(here: Settings, writer: OnlineWriter) -> tuple[int, int]:
    """Apply the events of the log; returns the numbers of applied and of invalid events."""
    suppressed = suppression_list.read_suppression_list(here.suppression_list)
    applied = invalid = 0
    batch: list[ContractRow] = []
    for event in chain(_logged_events(here.event_log), [None]):
        if event is not None and event["user_id"] not in suppressed:
            batch.append(event)
        if batch and (event is None or len(batch) == EVENTS_PER_BATCH):
            failed = _apply_batch(writer, batch)
            applied, invalid, batch = applied + len(batch) - failed, invalid + failed, []
    return applied, invalid


def _apply_batch(writer: OnlineWriter, events: list[ContractRow]) -> int:
    """Apply events; returns the number of invalid ones."""
    events_of: dict[str, list[ContractRow]] = {}
    for event in events:
        events_of.setdefault(event["user_id"], []).append(event)
    try:
        writer.apply_batch(events_of)
    except (ValueError, LookupError, TypeError):
        # At least one event is invalid, and nothing was applied.
        return 1 if len(events) == 1 else sum(_apply_batch(writer, [event]) for event in events)
    return 0


def _logged_events(folder: Path) -> Iterator[ContractRow]:
    for path in (path for log in daily_files.log_folders(folder) for path in daily_files.list_files(log, "events")):
        yield from (event for event, _ in daily_files.read_rows(path) if event.get("user_id"))


def main() -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write the online store anew from the marts and the event log.")
    parser.add_argument(
        "--as-of", type=date.fromisoformat, help="YYYY-MM-DD: day to materialize; default: the last materialized one"
    )
    arguments = parser.parse_args()
    try:
        rebuilt = rebuild(settings.load_settings(), arguments.as_of)
    except (RebuildError, settings.SettingError, suppression_list.SuppressionListError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    rows = ", ".join(f"{name} {count:,}" for name, count in rebuilt.rows.items())
    print(f"materialized {rows}; applied {rebuilt.events:,} logged events ({rebuilt.invalid} invalid)")
    return 0


if __name__ == "__main__":
    code = main()
    gc.freeze()  # otherwise the interpreter scans all imported objects for garbage before it exits
    sys.exit(code)
