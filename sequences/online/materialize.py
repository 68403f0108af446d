"""`python -m sequences.online.materialize --as-of 2025-06-01`: write every user's batch features to the online store.

Materializes the newest L events of each user, read directly from the event table, and the newest profile. Only changed
rows are written (`sequences/online/materialization_state.py`), so a run costs one pass over the table plus the users with
new events, and an interrupted run resumes. A date before the last materialized one is ignored unless `--force` is given.
"""

from __future__ import annotations

import argparse
import gc
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import feast
from tqdm import tqdm

from config import settings
from sequences.feast_store import create_missing_tables, local_marts_folder, open_store
from sequences.online.batch_rows import EncodedRow, encode_batch_rows
from sequences.online.codec import StoredValue
from sequences.online.materialization_state import (
    MaterializationState,
    digests_file,
    materialization_lock,
    record_materialization,
    row_digest,
)
from sequences.online.row import to_int_value, write_rows
from sequences.views import SEQUENCE_VIEWS, SequenceView

PROFILE = "user_profile"
USERS_PER_CHUNK = 10_000
MAX_WRITE_BYTES = 4 << 20
"""Size of a write transaction. SQLite has one writer: this size delays a live event by some tens of milliseconds."""


def materialize(
    store: feast.FeatureStore,
    as_of: date,
    marts_folder: Path,
    state_file: Path,
    views: Sequence[SequenceView] = tuple(SEQUENCE_VIEWS.values()),
    *,
    is_forced: bool = False,
) -> dict[str, int] | None:
    """Write the features known before midnight UTC of `as_of` to the online store.

    Args:
        store: The Feast store.
        as_of: Day to materialize.
        marts_folder: Local folder of the marts.
        state_file: Database of digests (`digests_file`); a concurrent run with the same file waits.
        views: Sequence views to materialize.
        is_forced: Whether to set the store back to an earlier day.

    Returns:
        view ▸ number of rows written; None if the store already has a later day and `is_forced` is False.
    """
    with materialization_lock(state_file):
        return _materialize(store, as_of, marts_folder, state_file, views, is_forced)


def _materialize(
    store: feast.FeatureStore,
    as_of: date,
    marts_folder: Path,
    state_file: Path,
    views: Sequence[SequenceView],
    is_forced: bool,
) -> dict[str, int] | None:
    midnight = datetime(as_of.year, as_of.month, as_of.day)
    create_missing_tables(store)
    state = MaterializationState(state_file, store)
    try:
        if not is_forced and state.as_of is not None and as_of < state.as_of:
            return None
        stored_views = {name: store.get_feature_view(name) for name in (*(view.name for view in views), PROFILE)}
        written = dict.fromkeys(stored_views, 0)
        with tqdm(desc="rows", unit="row") as bar:
            for name, rows, after, to in _row_ranges(store, marts_folder, views, midnight):
                count = _write_changed(store, state, stored_views[name], rows, after, to)
                written[name] += count
                bar.update(count)
        state.finish(as_of)
    finally:
        state.close()
    return written


RowRange = tuple[str, list[EncodedRow], str, str | None]
"""(view, rows, lower bound of the user ids (exclusive), upper bound (inclusive; None: no bound))."""


def _row_ranges(
    store: feast.FeatureStore, marts_folder: Path, views: Sequence[SequenceView], midnight: datetime
) -> Iterator[RowRange]:
    after = ""
    for chunk in encode_batch_rows(marts_folder / "events.parquet", views, midnight):
        for view in views:
            yield view.name, chunk.rows[view.name], after, chunk.last_user
        after = chunk.last_user
    for view in views:
        yield view.name, [], after, None
    yield from _profile_ranges(store, marts_folder / "user_profiles.parquet", midnight)


def _profile_ranges(store: feast.FeatureStore, path: Path, midnight: datetime) -> Iterator[RowRange]:
    names = [feature.name for feature in store.get_feature_view(PROFILE).features]
    columns = ", ".join(f'arg_max("{name}", known_at)' for name in names)
    after = ""
    with duckdb.connect() as connection:
        profiles = connection.execute(
            f"select user_id, {columns} from read_parquet(?) where known_at <= ? group by user_id order by user_id",  # noqa: S608
            [str(path), midnight],
        )
        while chunk := profiles.fetchmany(USERS_PER_CHUNK):
            rows = [
                (
                    user,
                    {name: to_int_value(value).SerializeToString() for name, value in zip(names, values, strict=True)},
                )
                for user, *values in chunk
            ]
            yield PROFILE, rows, after, rows[-1][0]
            after = rows[-1][0]
    yield PROFILE, [], after, None


def _write_changed(
    store: feast.FeatureStore,
    state: MaterializationState,
    view: feast.FeatureView,
    rows: list[EncodedRow],
    after: str,
    to: str | None,
) -> int:
    """Write the changed rows and empty the rows of users that no longer have one; returns the number of both."""
    values_of = dict(rows)
    digests = {user: row_digest(values) for user, values in rows}
    changed, gone = state.diff_rows(view.name, digests, after, to)
    for users in _write_batches(changed, values_of):
        write_rows(store, view, [(user, _stored_values(values_of[user]), state.row_time) for user in users])
        state.record_written(view.name, [(user, digests[user]) for user in users])
    if gone:
        empty_row = {feature.name: StoredValue(b"") for feature in view.features}
        write_rows(store, view, [(user, empty_row, state.row_time) for user in gone])
        state.record_emptied(view.name, gone)
    return len(changed) + len(gone)


def _write_batches(users: Iterable[str], values_of: Mapping[str, Mapping[str, bytes]]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for user in users:
        batch.append(user)
        size += sum(map(len, values_of[user].values()))
        if size >= MAX_WRITE_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _stored_values(values: Mapping[str, bytes]) -> dict[str, Any]:
    return {name: StoredValue(value) for name, value in values.items()}


def main() -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write every user's newest features to the online store.")
    parser.add_argument(
        "--as-of", required=True, type=date.fromisoformat, help="YYYY-MM-DD: write the features known before this day"
    )
    parser.add_argument("--force", action="store_true", help="set the store back to an earlier day")
    arguments = parser.parse_args()
    folder = settings.load_settings().feast
    try:
        store = open_store()
        state_file = digests_file(folder, store.config.online_store.type)
        written = materialize(store, arguments.as_of, local_marts_folder(), state_file, is_forced=arguments.force)
    except sqlite3.DatabaseError as error:
        print(
            f"error: the online store in {folder} is damaged or locked ({error}); stop the recommender and rebuild the store: "
            "python -m local.environment python -m sequences.online.rebuild",
            file=sys.stderr,
        )
        return 1
    if written is None:
        print(f"the online store already has a later day than {arguments.as_of}; use --force to set it back")
        return 0
    record_materialization(folder, arguments.as_of, local_marts_folder() / "events.parquet")
    print("materialized " + ", ".join(f"{name} {rows:,}" for name, rows in written.items()))
    return 0


if __name__ == "__main__":
    code = main()
    gc.freeze()  # otherwise the interpreter scans all imported objects for garbage before it exits
    sys.exit(code)
