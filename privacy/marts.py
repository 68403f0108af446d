"""Erasure of users from the published marts and everything derived from them: copies, warehouse, sequence arrays."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb

from config import settings
from privacy import ErasureError, parquet
from privacy.locks import file_lock, print_progress, running_tasks
from storage import mart_changes, object_store
from storage.user_data import DRAFT_PREFIX, list_mart_files

BUILD_LOCK = "build_marts"
"""Name of the process lock of `dbt build`, see `local/process_lock.py`."""
LOCK_ERROR_TEXT = "lock"
VALIDATION_TASKS = {"validate_landed", "validate_marts"}
"""Tasks that spill to `quality.spill`."""
SEQUENCE_CACHE_FOLDER = "kept"
"""Subfolder of `training` with arrays of all users' sequences."""


def erase_marts(user_ids: Sequence[str], here: settings.Settings) -> Counter[str]:
    """Erase the users' rows from the published marts and their local copies; returns the number of rows per user.

    The warehouse and other build files are deleted, because databases keep deleted data in free pages; the next `dbt build`
    recreates them from the landed events.
    """
    with mart_changes.changes_lock(here.marts):
        _remove_leftovers(here)
        erased = parquet.erase_from_files(list_mart_files(here), user_ids, "marts")
    object_store.fetch_marts(here, are_changes_applied=False)
    shutil.rmtree(here.built_marts, ignore_errors=True)
    here.warehouse.unlink(missing_ok=True)
    here.warehouse.with_name(here.warehouse.name + ".wal").unlink(missing_ok=True)
    shutil.rmtree(here.spark, ignore_errors=True)
    return erased


def _remove_leftovers(here: settings.Settings) -> None:
    """Delete what killed builds and validations have left: unpublished files of marts, and rows that DuckDB spilled."""
    spilled = [here.home / "warehouse.spill"]
    if not VALIDATION_TASKS.intersection(running_tasks(here.home)):
        spilled.append(here.home / "quality.spill")
    if not object_store.is_remote(here.marts):
        spilled.append(here.marts / ".spill")
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
    folder = here.training / SEQUENCE_CACHE_FOLDER
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ErasureError(f"{folder} could not be removed ({error}); run this again when no training runs") from error


@contextmanager
def build_lock(here: settings.Settings) -> Iterator[None]:
    """Prevent `dbt build` runs, by Airflow or by hand; waits for a running one."""
    with ExitStack() as locks:
        locks.enter_context(file_lock(here.home / "run" / f"{BUILD_LOCK}.lock", "dbt build"))
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
