"""`python -m sequences.online.materialize --as-of 2025-06-01`: write every user's batch features to the online store.

Materializes the newest L events of each user, read directly from the event table, and the newest profile. A run reads the users
that changed since the previous one (`sequences/online/changed_users.py`). With `--force`, and after an interrupted run, a change of
the views, a build from all events or a write of others, it reads everything. A date before the last materialized one is ignored
unless `--force` is given.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import feast
import pyarrow as pa
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import python_values_to_proto_values
from tqdm import tqdm

from config import settings
from config.command_line import end_process
from event_store.store import Position, StoreUnavailable
from sequences.feast_store import create_missing_tables, local_marts_folder, open_store
from sequences.offline.list_reader import latest_from_reader, read_user_blocks
from sequences.online.changed_users import changed_since, newest_build
from sequences.online.materialization_state import (
    StoredState,
    earlier_position,
    materialization_lock,
    materialized_position,
    midnight_us,
)
from sequences.online.online_stores import SequenceStore, online_store_of, user_key
from sequences.sequence_views import SEQUENCE_VIEWS, SequenceView

PROFILE = "user_profile"
ROW_FORMAT = 2
"""Increase it when a row is computed differently from the same events and definition."""
ROWS_PER_WRITE = 200
"""Rows of a write transaction."""

logger = logging.getLogger(__name__)


def materialize(
    store: feast.FeatureStore,
    as_of: date,
    marts_folder: Path,
    views: Sequence[SequenceView] = tuple(SEQUENCE_VIEWS.values()),
    *,
    is_forced: bool = False,
) -> dict[str, int] | None:
    """Write the features known before midnight UTC of `as_of` to the online store.

    A concurrent run for the same store waits.

    Args:
        store: The Feast store.
        as_of: Day to materialize.
        marts_folder: Local folder of the marts.
        views: Sequence views to materialize.
        is_forced: Read everything, also of an earlier day, which sets the store back.

    Returns:
        view ▸ number of rows written; None if the store already has a later day and `is_forced` is False.
    """
    online, feast_folder = online_store_of(store), Path(store.config.registry.path).parent
    with materialization_lock(feast_folder, online.kind):
        create_missing_tables(store)
        before = online.read_state(store.config)
        if not is_forced and as_of.isoformat() < before.as_of:
            return None
        position = _new_position(online, before, as_of, marts_folder)
        # Until the run has finished, a user has the earlier rows or the new ones.
        in_both = earlier_position(before.position, position)
        begun = replace(before, position=in_both, source=f"being written since {datetime.now(UTC).isoformat()}")
        online.write_state(store.config, begun)
        build, source = newest_build(marts_folder), _source(store, views)
        is_continued = not is_forced and before.source == source
        midnight = datetime(as_of.year, as_of.month, as_of.day)
        since = datetime.fromisoformat(before.as_of) if is_continued else midnight
        users = changed_since(marts_folder, before.build, since, midnight) if is_continued else None
        written = _Writer(store, users).write(views, marts_folder, as_of)
        if online.read_state(store.config) == begun:
            online.write_state(store.config, StoredState(position, as_of.isoformat(), build, source))
        return written


class _Writer:
    """Writes the rows of some users, or of all (None)."""

    def __init__(self, store: feast.FeatureStore, users: list[str] | None) -> None:
        self._store, self._online, self._time = store, online_store_of(store), datetime.now(UTC)
        views = store.list_batch_feature_views()
        stored = self._online.user_ids(store.config, views) if users is None else users
        self._users, self._stored = users, frozenset(stored)

    def write(self, views: Sequence[SequenceView], marts: Path, as_of: date) -> dict[str, int]:
        """Write the rows of the views and the profiles, and empty ones of users who have none, because there may be earlier rows.

        Returns:
            View ▸ number of rows.
        """
        users = None if self._users is None else pa.array(self._users, pa.string())
        found: dict[str, set[str]] = {name: set() for name in (*(view.name for view in views), PROFILE)}
        with tqdm(desc="rows", unit="row") as bar:
            for readers in read_user_blocks(str(marts / "events.parquet"), views, users):
                for name, reader in readers.items():
                    found[name] |= self._write_table(name, latest_from_reader(reader, midnight_us(as_of)), bar)
            for table in self._profiles(marts / "user_profiles.parquet", as_of):
                found[PROFILE] |= self._write_table(PROFILE, table, bar)
            for name, written in found.items():
                empty = [Value()] * len(self._store.get_feature_view(name).features)
                self._write_rows(name, ((user, empty) for user in self._stored - written), bar)
        return {name: len(written | self._stored) for name, written in found.items()}

    def _write_table(self, name: str, table: pa.Table, bar: tqdm[Any]) -> set[str]:
        """Write the rows of a view; returns their users."""
        columns = [
            python_values_to_proto_values(table[feature.name].to_pylist(), feature.dtype.to_value_type())
            for feature in self._store.get_feature_view(name).features
        ]
        users = table["user_id"].to_pylist()
        self._write_rows(name, zip(users, zip(*columns, strict=True), strict=True), bar)
        return set(users)

    def _write_rows(self, name: str, rows: Iterable[tuple[str, Iterable[Value]]], bar: tqdm[Any]) -> None:
        view = self._store.get_feature_view(name)
        names = [feature.name for feature in view.features]
        data = [
            (user_key(user), dict(zip(names, values, strict=True)), self._time, self._time) for user, values in rows
        ]
        for first in range(0, len(data), ROWS_PER_WRITE):
            self._online.write_rows(self._store.config, view, data[first : first + ROWS_PER_WRITE], bar.update)

    def _profiles(self, path: Path, as_of: date) -> Iterator[pa.Table]:
        """The newest profile of each user that is known at midnight."""
        names = [feature.name for feature in self._store.get_feature_view(PROFILE).features]
        columns = ", ".join(f'arg_max("{name}", known_at) as "{name}"' for name in names)
        chosen = "" if self._users is None else " and user_id in (select unnest($users))"
        query = f"select user_id, {columns} from read_parquet($path) where known_at <= $at{chosen} group by user_id"  # noqa: S608
        parameters = {"path": str(path), "at": as_of} | ({} if self._users is None else {"users": self._users})
        with duckdb.connect() as connection:
            for batch in connection.execute(query, parameters).to_arrow_reader():
                yield pa.Table.from_batches([batch])


def _new_position(online: SequenceStore, before: StoredState, as_of: date, marts: Path) -> Position | None:
    """The position up to which the rows will have every event; removes the events up to the previous run's.

    Not those up to the new position, so that no request reads the rows before this run and the events after it.
    """
    try:
        if before.position and as_of.isoformat() >= before.as_of:
            online.events.remove(before.position)
        return materialized_position(online.events, as_of, marts)
    except StoreUnavailable as error:
        logger.warning("requests read all events, because the position of these rows is not known: %s", error)
        return None


def _source(store: feast.FeatureStore, views: Sequence[SequenceView]) -> str:
    """Hash of everything besides the marts on which rows depend: the views, and what the registry has of them."""
    names = [*(view.name for view in views), PROFILE]
    # The text of a type, because its `repr` contains an address, which differs between processes.
    registered = {name: [(f.name, str(f.dtype)) for f in store.get_feature_view(name).features] for name in names}
    parts = {"format": ROW_FORMAT, "views": [view.to_json() for view in views], "registered": registered}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def main() -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write every user's newest features to the online store.")
    parser.add_argument(
        "--as-of", required=True, type=date.fromisoformat, help="YYYY-MM-DD: write the features known before this day"
    )
    parser.add_argument(
        "--force", action="store_true", help="read everything, also of an earlier day, which sets the store back"
    )
    arguments = parser.parse_args()
    folder = settings.load_settings().feast
    try:
        written = materialize(open_store(), arguments.as_of, local_marts_folder(), is_forced=arguments.force)
    except sqlite3.DatabaseError as error:
        print(
            f"error: the online store in {folder} is damaged or locked ({error}); if it is damaged, stop the recommender, delete "
            f"{folder}/online.db*, and run this again",
            file=sys.stderr,
        )
        return 1
    if written is None:
        print(f"the online store already has a later day than {arguments.as_of}; use --force to set it back")
        return 0
    print("materialized " + ", ".join(f"{name} {rows:,}" for name, rows in written.items()))
    return 0


if __name__ == "__main__":
    end_process(main())
