"""`python -m sequences.online.materialize --as-of 2025-06-01`: write every user's batch features to the online store.

Materializes the newest L events of each user, read directly from the event table, and the newest profile. Of a large mart
a run reads what was published since the previous one (`sequences/online/changed_users.py`). With `--force`, and after an
interrupted run, a change of the views, a build from all events or a write of others, it reads everything. Only rows that differ
are written. A date before the last materialized one is ignored unless `--force` is given.


Rows of the batch part, computed from a mart: all of them, or those that changed since the previous run.
"""

from __future__ import annotations

import argparse
import gc
import logging
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import feast
from tqdm import tqdm

from config import settings
from event_store.store import StoreUnavailable
from sequences.feast_store import create_missing_tables, local_marts_folder, open_store
from sequences.online.batch_rows import EncodedRow, UserChunk, encode_batch_rows
from sequences.online.batch_writer import BatchWriter
from sequences.online.changed_users import ChangedMart, MartSource, Source, definition_hash, find_later_users
from sequences.online.codec import append_lists
from sequences.online.materialization_state import (
    StoreContent,
    earlier_position,
    lock_of,
    materialized_position,
    read_content,
    record_materialization,
    write_content,
)
from sequences.online.store_rows import OnlineRowReader, to_int_value
from sequences.views import SEQUENCE_VIEWS, SequenceView
from storage.mart_changes import apply_changes, changes_since, read_published

PROFILE = "user_profile"


USERS_PER_CHUNK = 10_000
APPENDED_EVENTS_PER_CHUNK = 16_384
"""Small, because the stored rows of all users of a chunk are read, which are much larger than the new events."""
FILE_OF_ROWS = "rows.parquet"

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
    with lock_of(store):
        create_missing_tables(store)
        before = read_content(store)
        if not is_forced and before.as_of is not None and as_of < date.fromisoformat(before.as_of):
            return None
        return _materialize(store, as_of, marts_folder, views, before, is_forced)


def _materialize(
    store: feast.FeatureStore,
    as_of: date,
    marts_folder: Path,
    views: Sequence[SequenceView],
    before: StoreContent,
    is_forced: bool,
) -> dict[str, int]:
    online: Any = store._get_provider().online_store
    try:
        if before.position and as_of.isoformat() >= (before.as_of or ""):
            # Those of the previous run, so that no request reads the rows before it and the events after this.
            online.events.remove(before.position)
        position = materialized_position(online.events, as_of, marts_folder)
    except StoreUnavailable as error:
        logger.warning("requests read all events, because the position of these rows is not known: %s", error)
        position = None
    row_time = before.after(datetime.now(UTC))
    # Until the run has finished, a user has the earlier rows or the new ones.
    in_both = earlier_position(before.position, position)
    begun = StoreContent(row_time.isoformat(), in_both, before.as_of, is_being_written=True)
    write_content(store, begun)
    midnight = datetime(as_of.year, as_of.month, as_of.day)
    definition = definition_hash(store, views, [PROFILE])
    previous = None if is_forced else Source.from_json(before.source)
    known = previous.marts if previous and previous.definition == definition else {}
    names = [*(view.name for view in views), PROFILE]
    with tqdm(desc="rows", unit="row") as bar:
        writer = BatchWriter(store, names, row_time, bar)
        parts = (EventRows(store, writer, views, midnight), ProfileRows(store, writer, PROFILE, midnight))
        sources = [_write_mart(part, marts_folder, known.get(part.mart)) for part in parts]
    marts = {name: source for name, source in sources if source is not None}
    if read_content(store) == begun:
        source = Source(definition, marts).to_json()
        write_content(store, StoreContent(begun.row_time, position, as_of.isoformat(), source))
    return {name: writer.written[name] for name in names}


def _write_mart(
    part: EventRows | ProfileRows, marts_folder: Path, previous: MartSource | None
) -> tuple[str, MartSource | None]:
    """Write the rows of one mart: of the users that changed, or of all if that is not known.

    Returns:
        The mart, and what was read of it for the next run; None: the next run must read all of it.
    """
    mart = read_published(marts_folder, part.mart)
    files = changes_since(marts_folder, part.mart, previous.version) if previous else None
    if previous is not None and files is not None and datetime.fromisoformat(previous.limit) <= part.limit:
        with ChangedMart(mart, files, previous, part.limit) as changes, tempfile.TemporaryDirectory() as folder:
            part.write_changed(changes, Path(folder))
            later_users = changes.later_users()
    else:
        apply_changes(marts_folder, [part.mart])
        mart = read_published(marts_folder, part.mart)
        part.write_all(mart.whole)
        later_users = find_later_users(mart, part.limit) if mart.version else None
    if mart.newest_version is None or later_users is None:
        return part.mart, None
    return part.mart, MartSource(mart.newest_version, part.limit.isoformat(), later_users)


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
        marts = local_marts_folder(are_changes_applied=False)
        written = materialize(open_store(), arguments.as_of, marts, is_forced=arguments.force)
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
    record_materialization(folder, arguments.as_of, marts)
    print("materialized " + ", ".join(f"{name} {rows:,}" for name, rows in written.items()))
    return 0


class EventRows:
    """Rows of the sequence views, from the event table.

    Args:
        store: The Feast store.
        writer: Writes the rows.
        views: The views.
        midnight: Events known before it are used (naive UTC).
    """

    mart = "events"

    def __init__(
        self,
        store: feast.FeatureStore,
        writer: BatchWriter,
        views: Sequence[SequenceView],
        midnight: datetime,
    ) -> None:
        self._writer, self._views, self.limit = writer, views, midnight
        self._reader = OnlineRowReader(
            store, {store.get_feature_view(view.name): view.attribute_names for view in views}
        )

    def write_all(self, path: Path) -> None:
        """Write the rows of all users."""
        after = ""
        for chunk in encode_batch_rows(path, self._views, self.limit):
            for view in self._views:
                self._writer.write_range(view.name, chunk.rows[view.name], after, chunk.last_user)
            after = chunk.last_user
        for view in self._views:
            self._writer.write_range(view.name, [], after, None)

    def write_changed(self, changes: ChangedMart, folder: Path) -> None:
        """Write the rows of the users that changed. `folder` is for temporary files."""
        if changes.appended_users():
            changes.write_appended(folder / FILE_OF_ROWS)
            for chunk in encode_batch_rows(folder / FILE_OF_ROWS, self._views, self.limit, APPENDED_EVENTS_PER_CHUNK):
                self._append(chunk)
        after = ""
        if late := changes.late_users():
            changes.write_late(folder / FILE_OF_ROWS)
            for chunk in encode_batch_rows(folder / FILE_OF_ROWS, self._views, self.limit):
                users = [user for user in late if after < user <= chunk.last_user]
                for view in self._views:
                    self._writer.write_users(view.name, chunk.rows[view.name], users)
                after = chunk.last_user
        for view in self._views:
            self._writer.write_users(view.name, [], [user for user in late if user > after])

    def _append(self, chunk: UserChunk) -> None:
        """Append the events of a chunk to the stored rows."""
        users = sorted({user for rows in chunk.rows.values() for user, _ in rows})
        stored = dict(zip(users, self._reader.read(users), strict=True))
        for view in self._views:
            kinds = {attribute.name: attribute.kind for attribute in view.attributes}
            self._writer.write(
                view.name,
                [
                    (user, append_lists(kinds, stored[user][view.name].values, added, view.length))
                    for user, added in chunk.rows[view.name]
                ],
            )


class ProfileRows:
    """Rows of the newest profile of each user.

    Args:
        store: The Feast store.
        writer: Writes the rows.
        view: Name of the feature view.
        midnight: Profiles known until then are used (naive UTC).
    """

    mart = "user_profiles"

    def __init__(self, store: feast.FeatureStore, writer: BatchWriter, view: str, midnight: datetime) -> None:
        self._writer, self._view, self.limit = writer, view, midnight + timedelta(microseconds=1)
        self._names = [feature.name for feature in store.get_feature_view(view).features]

    def write_all(self, path: Path) -> None:
        """Write the rows of all users."""
        after = ""
        for rows in self._read(path):
            self._writer.write_range(self._view, rows, after, rows[-1][0])
            after = rows[-1][0]
        self._writer.write_range(self._view, [], after, None)

    def write_changed(self, changes: ChangedMart, folder: Path) -> None:
        """Write the rows of the users that changed. `folder` is for temporary files."""
        if changes.appended_users():
            changes.write_appended(folder / FILE_OF_ROWS)
            for rows in self._read(folder / FILE_OF_ROWS):
                self._writer.write_users(self._view, rows, [user for user, _ in rows])
        if late := changes.late_users():
            changes.write_late(folder / FILE_OF_ROWS)
            found = [row for rows in self._read(folder / FILE_OF_ROWS) for row in rows]
            self._writer.write_users(self._view, found, late)

    def _read(self, path: Path) -> Iterator[list[EncodedRow]]:
        """The newest profile of each user that is known before the limit, in chunks sorted by user."""
        columns = ", ".join(f'arg_max("{name}", known_at)' for name in self._names)
        with duckdb.connect() as connection:
            profiles = connection.execute(
                f"select user_id, {columns} from read_parquet(?) where known_at < ? group by user_id order by user_id",  # noqa: S608
                [str(path), self.limit],
            )
            while chunk := profiles.fetchmany(USERS_PER_CHUNK):
                yield [
                    (
                        user,
                        {
                            name: to_int_value(value).SerializeToString()
                            for name, value in zip(self._names, values, strict=True)
                        },
                    )
                    for user, *values in chunk
                ]


if __name__ == "__main__":
    code = main()
    gc.freeze()  # otherwise the interpreter scans all imported objects for garbage before it exits
    sys.exit(code)
