"""Erasure of users from the landing zone: landed events, the record of landings, and the quarantine."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from config import settings
from ingestion import contract
from ingestion.landing_zone import Landing, write_parquet
from privacy import parquet
from storage import object_store

ERASED_SOURCE = "forgotten"
"""Replaces the name of a source that was named after an erased user."""


def erase_landed_events(user_ids: Sequence[str], here: settings.Settings) -> Counter[str]:
    """Erase the users' landed events, and their names as sources; returns the number of rows per user.

    Landed files are named by a hash of their content, so a changed file gets a new name.
    """
    erased: Counter[str] = Counter()
    files = [
        path
        for table in contract.EVENT_TIME_COLUMNS
        for path in object_store.list_files(here.landing / table, "dt=*/*.parquet")
    ]
    for path in parquet.with_progress_bar(files, "landing"):
        rows = parquet.count_user_rows(path, user_ids)
        if rows:
            _replace_landed_file(path, parquet.drop_users(_read_rows(path), user_ids))
            erased += rows
    for path in object_store.list_files(here.landing / "landings", "dt=*/*.parquet"):
        table = _read_rows(path)
        named = [_user_of_source(source, user_ids) for source in table["source"].to_pylist()]
        if any(named):
            _replace_landed_file(path, _anonymize_landings(table, named))
            erased.update(user for user in named if user)
    Landing(here.tables, "day", datetime.now(UTC)).finish()
    object_store.fetch_landing(here)
    return erased


def erase_quarantine(user_ids: Sequence[str], here: settings.Settings) -> Counter[str]:
    """Erase the users' quarantined rows; returns the number of rows per user."""
    return parquet.erase_from_files(
        object_store.list_files(here.quarantine, "*/dt=*/*.parquet"), user_ids, "quarantine"
    )


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


def _user_of_source(source: str, user_ids: Collection[str]) -> str | None:
    """The user that a source is named after, such as a personal export."""
    return next((name for name in (source, Path(source).stem) if name in user_ids), None)


def _anonymize_landings(landings: pa.Table, users: Sequence[str | None]) -> pa.Table:
    """The record of landings without the names of sources that are named after `users`."""
    names = landings["source"].to_pylist()
    sources = [ERASED_SOURCE if user else name for name, user in zip(names, users, strict=True)]
    place = landings.column_names.index("source")
    return landings.set_column(place, landings.schema.field(place), pa.array(sources, pa.string()))
