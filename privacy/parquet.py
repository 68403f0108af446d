"""Erasure of users from Parquet files by atomic rewriting; order and schema are kept.

A row belongs to a user by its column `user_id`. Of quarantined rows without one, earlier versions kept the text, in which any user
may be named: they are erased with the first user.
Independent of the location of files.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from privacy import UnreadableFile
from releases.integrity import CHECKSUM_FILE
from storage import object_store
from storage.files import atomic_write, hash_file, open_draft, sync
from storage.user_data import RAW_COLUMN, USER_COLUMN


def erase_from_file(path: Path, user_ids: Collection[str]) -> Counter[str]:
    """Erase the users' rows from a file; returns the number of rows per user. A file without such rows is not rewritten.

    A local file keeps its modification time, an object gets the current time. The checksum list that contains the file
    is updated first: after a crash in between, the file still has the rows and is rewritten by the next run.
    """
    erased = count_user_rows(path, user_ids)
    if not erased:
        return erased
    if object_store.is_remote(path):
        with tempfile.TemporaryDirectory() as folder:
            rewritten = Path(folder) / path.name
            _write_without_users(path, rewritten, user_ids)
            object_store.upload(rewritten, path)
        return erased
    with open_draft(path) as draft:
        previous = path.stat()
        _write_without_users(path, draft, user_ids)
        os.utime(draft, ns=(previous.st_atime_ns, previous.st_mtime_ns))
        sync(draft)
        _update_checksum(path, draft)
    return erased


def erase_from_files(files: Sequence[Path], user_ids: Collection[str], name: str) -> Counter[str]:
    """Erase the users' rows from files; returns the number of rows per user. `name` labels the progress bar.

    Raises:
        UnreadableFile: Some files cannot be read; raised after the others are erased.
    """
    erased: Counter[str] = Counter()
    unreadable: list[str] = []
    for path in with_progress_bar(files, name):
        try:
            erased += erase_from_file(path, user_ids)
        except UnreadableFile as error:
            unreadable.append(str(error))
    if unreadable:
        raise UnreadableFile("; ".join(unreadable))
    return erased


def with_progress_bar(files: Sequence[Path], name: str) -> Iterator[Path]:
    """The files, with a progress bar if there are more than 20."""
    yield from tqdm(files, desc=name, unit="file", disable=None if len(files) > 20 else True)


def count_user_rows(path: Path, user_ids: Collection[str]) -> Counter[str]:
    """Number of rows of each user in a file; empty for a file without user columns or that was removed meanwhile.

    Raises:
        UnreadableFile: The file is damaged or is being written.
    """
    counts: Counter[str] = Counter()
    for rows in read_user_columns(path):
        counts.update(_matching_users(rows, user_ids).drop_null().to_pylist())
    return counts


def read_user_columns(path: Path) -> Iterator[pa.Table]:
    """The columns that name users, by row group; nothing of a file without them or that was removed meanwhile.

    Raises:
        UnreadableFile: The file is damaged or is being written.
    """
    try:
        opened = pq.ParquetFile(object_store.open_arrow_source(path))
    except FileNotFoundError:
        return
    except pa.ArrowInvalid as error:
        raise UnreadableFile(
            f"{path} is no readable Parquet file; delete it, or wait until the task that writes it ends, and run this again"
        ) from error
    with opened as file:
        columns = [name for name in (USER_COLUMN, RAW_COLUMN) if name in file.schema_arrow.names]
        for group in range(file.num_row_groups if columns else 0):
            yield file.read_row_group(group, columns=columns)


def drop_users(table: pa.Table, user_ids: Collection[str]) -> pa.Table:
    """The table without rows of the users."""
    return table.filter(pc.is_null(_matching_users(table, user_ids)))


def _matching_users(table: pa.Table, user_ids: Collection[str]) -> pa.Array:
    """Each row's user id if it is one of `user_ids`, else null."""
    wanted, no_users = pa.array(sorted(user_ids), pa.string()), pa.nulls(table.num_rows, pa.string())
    users = table[USER_COLUMN].combine_chunks().cast(pa.string()) if USER_COLUMN in table.column_names else no_users
    if RAW_COLUMN in table.column_names:
        is_nameless = pc.and_(pc.is_null(users), pc.not_equal(table[RAW_COLUMN].combine_chunks(), ""))
        users = pc.if_else(pc.fill_null(is_nameless, False), wanted[0], users)
    return pc.if_else(pc.is_in(users, wanted), users, pa.scalar(None, pa.string()))


def _write_without_users(path: Path, draft: Path, user_ids: Collection[str]) -> None:
    with pq.ParquetFile(object_store.open_arrow_source(path)) as file:
        codec = file.metadata.row_group(0).column(0).compression
        with pq.ParquetWriter(draft, file.schema_arrow, compression="NONE" if codec == "UNCOMPRESSED" else codec) as to:
            for group in range(file.num_row_groups):
                remaining = drop_users(file.read_row_group(group), user_ids)
                to.write_table(remaining, row_group_size=max(remaining.num_rows, 1))


def _update_checksum(path: Path, draft: Path) -> None:
    """Replace the hash of the file by the draft's in the checksum list of a parent folder, if there is one."""
    for folder in path.parents:
        listed = folder / CHECKSUM_FILE
        if not listed.exists():
            continue
        name = path.relative_to(folder).as_posix()
        entry = f"{hash_file(draft)}  {name}\n"
        lines = [
            entry if line.rstrip("\n").endswith(f"  {name}") else line
            for line in listed.read_text().splitlines(keepends=True)
        ]
        atomic_write(listed, "".join(lines))
        return
