"""`python -m sequences.online.materialize --as-of 2025-06-01`: the batch part of every user's features into the online store.

The newest L events of each user straight from the event table, and the newest profile. Only rows that differ from what
the store holds are written (`sequences/online/materialization_state.py`), so a run costs one pass over the table and the users with new
events, and a run that was cut off goes on where it was. Nothing is ever set back: a date before the one that the store
holds is left alone unless `--force` says otherwise.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import feast
from tqdm import tqdm

from config import settings
from sequences.feast_store import local_marts_folder, open_store
from sequences.online.batch_rows import EncodedRow, encode_batch_rows
from sequences.online.codec import StoredValue
from sequences.online.materialization_log import record_materialization
from sequences.online.materialization_state import MaterializationState, digests_file, materialization_lock, row_digest
from sequences.online.row import to_int_value, write_rows
from sequences.views import SEQUENCE_VIEWS, SequenceView

PROFILE = "user_profile"
USERS_PER_CHUNK = 10_000
MAX_WRITE_BYTES = 4 << 20
"""SQLite has one writer: a transaction of this size keeps a user's live event waiting for some tens of milliseconds."""


def materialize(
    store: feast.FeatureStore,
    as_of: date,
    marts_folder: Path,
    state_file: Path,
    views: Sequence[SequenceView] = tuple(SEQUENCE_VIEWS.values()),
    *,
    is_forced: bool = False,
) -> dict[str, int] | None:
    """Writes what was known before midnight UTC of `as_of`; returns the rows written in this run, view by view.

    None where the store already holds a later day and `is_forced` does not set it back. `state_file` keeps what the
    store holds; a second run on it waits for the first.
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
"""A view, the rows of some users, and whose: everybody after one user, up to and including another (None: the end)."""


def _row_ranges(
    store: feast.FeatureStore, marts_folder: Path, views: Sequence[SequenceView], midnight: datetime
) -> Iterator[RowRange]:
    after = ""
    for piece in encode_batch_rows(marts_folder / "events.parquet", views, midnight):
        for view in views:
            yield view.name, piece.rows[view.name], after, piece.last_user
        after = piece.last_user
    for view in views:
        yield view.name, [], after, None
    yield from _profile_ranges(store, marts_folder / "user_profiles.parquet", midnight)


def _profile_ranges(store: feast.FeatureStore, path: Path, midnight: datetime) -> Iterator[RowRange]:
    names = [feature.name for feature in store.get_feature_view(PROFILE).features]
    columns = ", ".join(f'arg_max("{name}", known_at)' for name in names)
    after = ""
    with duckdb.connect() as connection:
        found = connection.execute(
            f"select user_id, {columns} from read_parquet(?) where known_at <= ? group by user_id order by user_id",  # noqa: S608
            [str(path), midnight],
        )
        while chunk := found.fetchmany(USERS_PER_CHUNK):
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
    """Writes the rows that changed, and empties those of users who have none any more; how many these are."""
    values_of = dict(rows)
    digests = {user: row_digest(values) for user, values in rows}
    changed, gone = state.diff_rows(view.name, digests, after, to)
    for users in _write_batches(changed, values_of):
        write_rows(store, view, [(user, _stored_values(values_of[user]), state.row_time) for user in users])
        state.record_written(view.name, [(user, digests[user]) for user in users])
    if gone:
        nothing = {feature.name: StoredValue(b"") for feature in view.features}
        write_rows(store, view, [(user, nothing, state.row_time) for user in gone])
        state.record_emptied(view.name, gone)
    return len(changed) + len(gone)


def _write_batches(users: Iterable[str], values_of: Mapping[str, Mapping[str, bytes]]) -> Iterator[list[str]]:
    some: list[str] = []
    size = 0
    for user in users:
        some.append(user)
        size += sum(map(len, values_of[user].values()))
        if size >= MAX_WRITE_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def _stored_values(values: Mapping[str, bytes]) -> dict[str, Any]:
    return {name: StoredValue(value) for name, value in values.items()}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Write every user's newest features to the online store.")
    parser.add_argument("--as-of", required=True, type=date.fromisoformat, help="YYYY-MM-DD: what was known before it")
    parser.add_argument("--force", action="store_true", help="set the store back to an earlier day than it holds")
    arguments = parser.parse_args()
    store = open_store()
    folder = settings.load_settings().feast
    state_file = digests_file(folder, store.config.online_store.type)
    written = materialize(store, arguments.as_of, local_marts_folder(), state_file, is_forced=arguments.force)
    if written is None:
        print(f"the online store already holds a later day than {arguments.as_of}; --force sets it back")
        return
    record_materialization(folder, arguments.as_of, local_marts_folder() / "events.parquet")
    print("materialized " + ", ".join(f"{name} {rows:,}" for name, rows in written.items()))


if __name__ == "__main__":
    main()
    gc.freeze()  # else Python looks through all that was imported, before it ends, for what could be freed
