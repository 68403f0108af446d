"""Erasure of users from the landing zone (landed events, the record of landings, quarantine), and from the published marts and
everything derived from them: copies, warehouse, sequence arrays.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from config import settings
from ingestion import landed_tables
from ingestion.landing_zone import Landing, write_parquet
from privacy import ErasureError, UnreadableFile, parquet, print_progress
from sequences.offline.dense_reader import USERS
from storage import object_store
from storage.file_lock import file_lock, held_locks
from storage.user_data import DRAFT_PREFIX, USER_COLUMN, list_mart_files
from training import CACHE_FOLDER

ERASED_SOURCE = "forgotten"
"""Replaces the name of a source that was named after an erased user."""


def erase_landed_events(user_ids: Sequence[str], here: settings.Settings) -> Counter[str]:
    """Erase the users' landed events, and their names as sources; returns the number of rows per user.

    Landed files are named by a hash of their content, so a changed file gets a new name.
    """
    erased: Counter[str] = Counter()
    files = [
        path
        for table in landed_tables.EVENT_TIME_COLUMNS
        for path in object_store.list_files(here.landing / table, "dt=*/*.parquet")
    ]
    for path in parquet.with_progress_bar(files, "landing"):
        rows = parquet.count_user_rows(path, user_ids)
        if rows:
            _replace_landed_file(path, parquet.drop_users(_read_rows(path), user_ids))
            erased += rows
    for path in object_store.list_files(here.landing / "landings", "dt=*/*.parquet"):
        table = _read_rows(path)
        names = table["source"].to_pylist()
        # The user that a source is named after, such as a personal export.
        users = [next((user for user in (name, Path(name).stem) if user in user_ids), None) for name in names]
        if any(users):
            sources = [ERASED_SOURCE if user else name for name, user in zip(names, users, strict=True)]
            place = table.column_names.index("source")
            anonymous = table.set_column(place, table.schema.field(place), pa.array(sources, pa.string()))
            _replace_landed_file(path, anonymous)
            erased.update(user for user in users if user)
    Landing(here.tables, "day", datetime.now(UTC)).finish()
    object_store.fetch_landing(here)
    return erased


def _replace_landed_file(path: Path, table: pa.Table) -> None:
    """Replace a landed file; a local file keeps its landing time (modification time), an object gets the current time."""
    previous = path.stat()
    if table.num_rows:
        written = write_parquet(path.parent, table)
        if not object_store.is_remote(written):
            os.utime(written, ns=(previous.st_atime_ns, previous.st_mtime_ns))
    path.unlink()


def _read_rows(path: Path) -> pa.Table:
    return pq.read_table(object_store.open_arrow_source(path), partitioning=None)


BUILD_LOCK = "build_marts"
"""Name of the process lock of `dbt build`, see `local/process_lock.py`."""
LOCK_ERROR_TEXT = "lock"
VALIDATION_TASKS = {"validate_landed", "validate_marts"}
"""Tasks that spill to `quality.spill`."""


def erase_marts(user_ids: Sequence[str], here: settings.Settings) -> Counter[str]:
    """Erase the users' rows from the published marts and their local copies; returns the number of rows per user."""
    _remove_leftovers(here)
    erased = parquet.erase_from_files(list_mart_files(here), user_ids, "marts")
    object_store.fetch_marts(here)
    return erased


def stale_builds(here: settings.Settings) -> Path:
    """File that exists until all that was built from erased rows is deleted, so that an interrupted erasure is completed."""
    return here.home / "run" / "stale_builds"


def has_built_rows(user_ids: Sequence[str], here: settings.Settings) -> bool:
    """Whether the warehouse, other build files or cached sequences have rows of the users, or cannot be read."""
    try:
        files = [path for folder in (here.built_marts, here.spark) for path in sorted(folder.rglob("*.parquet"))]
        return (
            any(parquet.count_user_rows(path, user_ids) for path in files)
            or any(not users.isdisjoint(user_ids) for users in cached_users(here))
            or _is_in_warehouse(user_ids, here.warehouse)
        )
    except (UnreadableFile, OSError, ValueError, duckdb.Error):
        return True


def cached_users(here: settings.Settings) -> Iterator[set[str]]:
    """The users of each folder of cached sequence arrays.

    Raises:
        ValueError, OSError: A list of users is damaged, or is removed by another task.
    """
    for path in sorted((here.training / CACHE_FOLDER).rglob(USERS)):
        yield set(map(str, json.loads(path.read_bytes())))


def remove_build_files(here: settings.Settings) -> None:
    """Delete the warehouse and other build files, because databases keep deleted data in free pages.

    The next `dbt build` recreates them from the landed events.
    """
    shutil.rmtree(here.built_marts, ignore_errors=True)
    here.warehouse.unlink(missing_ok=True)
    here.warehouse.with_name(here.warehouse.name + ".wal").unlink(missing_ok=True)
    shutil.rmtree(here.spark, ignore_errors=True)


def _remove_leftovers(here: settings.Settings) -> None:
    """Delete what killed builds and validations have left: unpublished files of marts, and rows that DuckDB spilled."""
    spilled = [here.home / "warehouse.spill"]
    if not VALIDATION_TASKS.intersection(held_locks(here.home / "run")):
        spilled.append(here.home / "quality.spill")
    if not object_store.is_remote(here.marts):
        for pattern in (f"{DRAFT_PREFIX}*.parquet", ".*.parquet.writing"):
            for draft in here.marts.rglob(pattern):
                draft.unlink()
    for folder in spilled:
        shutil.rmtree(folder, ignore_errors=True)


def remove_sequence_cache(here: settings.Settings) -> None:
    """Delete the cached sequence arrays; removing one user would shift the offsets of all others. Training recreates them.

    Raises:
        ErasureError: They cannot be deleted.
    """
    folder = here.training / CACHE_FOLDER
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ErasureError(f"{folder} could not be removed ({error}); run this again when no training runs") from error


def _is_in_warehouse(user_ids: Sequence[str], path: Path) -> bool:
    if not path.exists():
        return False
    query = """
        select distinct format('"{}"."{}"', schema_name, table_name) from duckdb_columns()
        where column_name = ? and table_oid in (select table_oid from duckdb_tables())
    """
    with duckdb.connect(str(path)) as warehouse:
        for (table,) in warehouse.execute(query, [USER_COLUMN]).fetchall():
            is_theirs = f"cast({USER_COLUMN} as text) in (select unnest(?))"
            if warehouse.execute(f"select 1 from {table} where {is_theirs} limit 1", [list(user_ids)]).fetchone():  # noqa: S608
                return True
    return False


@contextmanager
def build_lock(here: settings.Settings) -> Iterator[None]:
    """Prevent `dbt build` runs, by Airflow or by hand; waits for a running one."""
    with ExitStack() as locks:
        lock = here.home / "run" / f"{BUILD_LOCK}.lock"
        locks.enter_context(file_lock(lock, waiting="waiting: another dbt build is running"))
        _lock_warehouse(here.warehouse, locks)
        yield


def _lock_warehouse(warehouse: Path, locks: ExitStack) -> None:
    is_waiting = False
    while warehouse.exists():
        try:
            locks.enter_context(duckdb.connect(str(warehouse)))
            return
        except duckdb.IOException as error:
            if LOCK_ERROR_TEXT not in str(error):
                return  # damaged or of another version; it is deleted anyway
            if not is_waiting:
                print_progress(f"waiting: another program has {warehouse} open, possibly a dbt build")
            is_waiting = True
            time.sleep(1)
        except duckdb.Error:
            return
