"""Erasing users from Parquet files: a file is written anew without their rows, order and schema as before, and takes the
place of the old one whole.

A row is of a user by its column `user_id`; a quarantined row that has none, by what it names. Knows nothing about where
files lie.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.quarantined_users import extract_user_ids
from storage import object_store

USER_COLUMN, RAW_COLUMN = "user_id", "raw"
DRAFT_SUFFIX = ".forgetting"
CHECKSUM_FILE = "files.sha256"
"""A release's list of what it consists of; without it in order, the release counts as damaged."""


def erase_from_file(path: Path, user_ids: Collection[str]) -> Counter[str]:
    """Erase rows from a file that keeps its name and its time; rows of each user. Other files are left untouched.

    A list of hashes that the file is in is changed first: what a kill leaves then has the users, and is done again. An
    object gets the time of now, for objects have no other.
    """
    erased = count_user_rows(path, user_ids)
    if not erased:
        return erased
    if object_store.is_remote(path):
        with tempfile.TemporaryDirectory() as folder:
            kept = Path(folder) / path.name
            _write_without_users(path, kept, user_ids)
            object_store.upload(kept, path)
        return erased
    draft, then = path.with_name(path.name + DRAFT_SUFFIX), path.stat()
    _write_without_users(path, draft, user_ids)
    os.utime(draft, ns=(then.st_atime_ns, then.st_mtime_ns))
    _update_checksum(path, draft)
    draft.replace(path)
    return erased


def count_user_rows(path: Path, user_ids: Collection[str]) -> Counter[str]:
    """How many rows of each user a file has; nothing for a file without the column."""
    counts: Counter[str] = Counter()
    with pq.ParquetFile(object_store.open_arrow_source(path)) as file:
        names = file.schema_arrow.names
        if USER_COLUMN not in names and RAW_COLUMN not in names:
            return counts
        columns = [name for name in (USER_COLUMN, RAW_COLUMN) if name in names]
        place = names.index(USER_COLUMN) if USER_COLUMN in names and RAW_COLUMN not in names else None
        for group in range(file.num_row_groups):
            if place is None or _may_contain_users(file.metadata.row_group(group), user_ids):
                whose = _matching_users(file.read_row_group(group, columns=columns), user_ids)
                counts.update(user for user in whose.to_pylist() if user is not None)
    return counts


def drop_users(table: pa.Table, user_ids: Collection[str]) -> pa.Table:
    """The rows of everybody else."""
    return table.filter(pc.is_null(_matching_users(table, user_ids)))


def _matching_users(table: pa.Table, user_ids: Collection[str]) -> pa.Array:
    """Each row's user where it is one of these, else null."""
    wanted, nobody = pa.array(sorted(user_ids), pa.string()), pa.nulls(table.num_rows, pa.string())
    whose = table[USER_COLUMN].combine_chunks().cast(pa.string()) if USER_COLUMN in table.column_names else nobody
    if RAW_COLUMN in table.column_names:
        raw = table[RAW_COLUMN].to_pylist()
        named = [
            user if user is not None else next(iter(extract_user_ids(text or "").intersection(user_ids)), None)
            for user, text in zip(whose.to_pylist(), raw, strict=True)
        ]
        whose = pa.array(named, pa.string())
    return pc.if_else(pc.is_in(whose, wanted), whose, pa.scalar(None, pa.string()))


def _may_contain_users(group: pq.RowGroupMetaData, user_ids: Collection[str]) -> bool:
    column = next(one for one in map(group.column, range(group.num_columns)) if one.path_in_schema == USER_COLUMN)
    statistics = column.statistics
    if statistics is None or not statistics.has_min_max or not isinstance(statistics.min, str):
        return True
    return any(statistics.min <= user <= statistics.max for user in user_ids)


def _write_without_users(path: Path, draft: Path, user_ids: Collection[str]) -> None:
    with pq.ParquetFile(object_store.open_arrow_source(path)) as file:
        codec = file.metadata.row_group(0).column(0).compression
        with pq.ParquetWriter(draft, file.schema_arrow, compression="NONE" if codec == "UNCOMPRESSED" else codec) as to:
            for group in range(file.num_row_groups):
                kept = drop_users(file.read_row_group(group), user_ids)
                to.write_table(kept, row_group_size=max(kept.num_rows, 1))
    with draft.open("rb") as written:
        os.fsync(written.fileno())


def _update_checksum(path: Path, draft: Path) -> None:
    """Give the file's entry in the list above it, if there is one, the hash of the draft."""
    for folder in path.parents:
        listed = folder / CHECKSUM_FILE
        if not listed.exists():
            continue
        name = path.relative_to(folder).as_posix()
        with draft.open("rb") as file:
            entry = f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n"
        lines = [
            entry if line.rstrip("\n").endswith(f"  {name}") else line
            for line in listed.read_text().splitlines(keepends=True)
        ]
        listing = listed.with_name(listed.name + DRAFT_SUFFIX)
        listing.write_text("".join(lines))
        listing.replace(listed)
        return
