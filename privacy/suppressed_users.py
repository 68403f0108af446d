"""Users of the suppression list whose data is in a home nevertheless, as after restoring a backup.

The list has hashes only, so the ids are found by hashing those in the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow.compute as pc

from config import settings
from event_store.opened import open_event_store, open_serving_state
from privacy import UnreadableFile, marts, online_store, parquet, print_progress
from storage import daily_files, suppression_list
from storage.user_data import RAW_COLUMN, USER_COLUMN, extract_user_ids, list_user_tables


def find_suppressed_users(here: settings.Settings) -> list[str]:
    """Sorted ids of suppressed users in tables, logs and state of a home.

    Raises:
        SuppressionListError: The list is damaged.
        StorageError: Object storage failed.
        FileBusy, UnreadableFile, StoreUnavailable: A SQLite file is locked or damaged.
    """
    suppressed = suppression_list.read_suppression_list(here.suppression_list)
    if not suppressed:
        return []
    found: set[str] = set()
    for ids in _user_ids(here):
        found |= suppressed.intersection(ids)
    return sorted(found)


def _user_ids(here: settings.Settings) -> Iterator[set[str]]:
    for _, path in list_user_tables(here):
        yield from _ids_of_table(path)
    for open_store in (open_event_store, open_serving_state):
        with closing(open_store(here)) as store:
            yield store.users()
    for path in sorted(here.feature_log.rglob("dt=*/*.jsonl")):
        rows = daily_files.read_rows(path)
        yield {row[USER_COLUMN] for row, _ in rows if isinstance(row.get(USER_COLUMN), str)}
    try:
        yield from marts.cached_users(here)
    except (ValueError, OSError) as error:
        print_progress(f"cached sequences are not searched: {error}")
    yield online_store.sqlite_users(here)


def _ids_of_table(path: Path) -> Iterator[set[str]]:
    try:
        for rows in parquet.read_user_columns(path):
            if has_users := USER_COLUMN in rows.column_names:
                yield {str(user) for user in rows[USER_COLUMN].unique().to_pylist() if user is not None}
            if RAW_COLUMN in rows.column_names:
                # As in an erasure, only rows without a user id.
                nameless = rows.filter(pc.is_null(rows[USER_COLUMN])) if has_users else rows
                yield {user for text in nameless[RAW_COLUMN].to_pylist() for user in extract_user_ids(text or "")}
    except UnreadableFile:
        print_progress(f"{path} is no readable Parquet file and is not searched")
