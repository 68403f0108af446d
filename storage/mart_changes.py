"""Changes of large marts that are published without the rest of the mart (`dbt/macros/publish_changes.sql`).

A build that continues a mart writes `changes/<mart>/<previous version>-<version>.parquet` with the rows that it deleted and
inserted (`is_deleted`). The footer of `<mart>.parquet` has the version of the whole file, so the changes that start there are
pending. They form a chain; a file that the chain does not reach belongs to a mart that was replaced. Every version is
published by a single rename, and a chain that is read is never modified, so that a reader has one consistent version.

`apply_changes` (`python -m storage.mart_changes`) writes the mart whole, for readers of all rows. `relation` is the mart with
its pending changes, and `changes_since` the changes alone, for readers of what is new. On object storage and with Spark marts
are published whole.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from storage.errors import StorageError
from storage.file_lock import file_lock
from storage.files import open_draft, sync

CHANGES_FOLDER = "changes"
VERSION_KEY, SORT_KEY = b"version", b"key"
KEPT_FILES = 28
"""Change files of a mart that are kept after they were applied, for readers that only read what is new."""
MEMORY_LIMIT = "2GB"


@dataclass(frozen=True)
class PublishedMart:
    """One version of a published mart: the whole file and the changes that it does not contain, oldest first."""

    whole: Path
    version: str | None  # of the whole file; None: published without versions
    pending: tuple[Path, ...]

    @property
    def newest_version(self) -> str | None:
        """Version including the pending changes."""
        return _versions(self.pending[-1])[1] if self.pending else self.version

    @property
    def published_at_ns(self) -> int:
        """Time at which the version was published, in ns since 1970 UTC."""
        return (self.pending[-1] if self.pending else self.whole).stat().st_mtime_ns


def read_published(marts: Path, name: str) -> PublishedMart:
    """The published version of a mart; the file does not exist if the mart has not been published.

    Raises:
        StorageError: The change files form a cycle.
    """
    whole = marts / f"{name}.parquet"
    version = _read_version(whole)
    return PublishedMart(whole, version, _follow_chain(marts, name, version) if version else ())


def changes_since(marts: Path, name: str, version: str | None) -> tuple[Path, ...] | None:
    """The change files that lead from a version to the newest one, oldest first; None if they do not lead there."""
    newest = read_published(marts, name).newest_version
    if version is None or newest is None:
        return None
    files = _follow_chain(marts, name, version)
    reached = _versions(files[-1])[1] if files else version
    return files if reached == newest else None


def relation(mart: PublishedMart) -> str:
    """SQL relation of DuckDB with the rows of the mart in no order."""
    whole = f"read_parquet('{mart.whole}')"
    if not mart.pending:
        return whole
    key = sort_key(mart.pending)
    matches = " and ".join(f"whole.{column} is not distinct from changed.{column}" for column in key)
    return (
        f"(select whole.* from {whole} as whole anti join {all_changes(mart.pending)} as changed on {matches}"  # noqa: S608
        f" union all by name select * from {inserted_rows(mart.pending)})"
    )


def all_changes(files: Sequence[Path]) -> str:
    """SQL relation of all rows that were deleted or inserted, with the column `is_deleted`."""
    return "read_parquet([{}])".format(", ".join(f"'{file}'" for file in files))


def inserted_rows(files: Sequence[Path]) -> str:
    """SQL relation of the inserted rows that no later change has deleted."""
    if len(files) == 1:
        return f"(select * exclude (is_deleted) from {all_changes(files)} where not is_deleted)"  # noqa: S608
    changes = "read_parquet([{}], filename = true)".format(", ".join(f"'{file}'" for file in files))
    # Names of files sort by version: a build with an earlier clock publishes the mart whole.
    return (
        f"(select * exclude (is_deleted, filename) from {changes}"  # noqa: S608
        f" qualify filename = max(filename) over (partition by {', '.join(sort_key(files))}) and not is_deleted)"
    )


def sort_key(files: Sequence[Path]) -> list[str]:
    """Columns that identify a row, in the order in which the mart is sorted."""
    with pq.ParquetFile(files[-1]) as file:
        return str((file.metadata.metadata or {})[SORT_KEY].decode()).split(",")


def apply_changes(marts: Path, names: Sequence[str] | None = None) -> list[str]:
    """Write the marts that have pending changes whole; returns their names.

    A home that cannot be written is left as it is. Concurrent readers keep the file that they have opened.

    Args:
        marts: Folder of the published marts.
        names: Marts to write; default: all.
    """
    folder = marts / CHANGES_FOLDER
    if not folder.is_dir() or not os.access(marts, os.W_OK):
        return []
    wanted = sorted(path.name for path in folder.iterdir() if names is None or path.name in names)
    if not any(read_published(marts, name).pending for name in wanted):
        return []
    with changes_lock(marts):
        return [name for name in wanted if _write_whole(read_published(marts, name))]


def changes_lock(marts: Path) -> AbstractContextManager[object]:
    """Prevent other processes from applying changes; without any changes there is nothing to lock."""
    folder = marts / CHANGES_FOLDER
    return file_lock(folder / ".lock") if folder.is_dir() else nullcontext()


def remove_old_changes(marts: Path) -> list[Path]:
    """Remove change files that belong to a replaced mart, and the applied ones but for the newest; returns their paths."""
    removed = []
    for folder in sorted(path for path in (marts / CHANGES_FOLDER).glob("*") if path.is_dir()):
        published = read_published(marts, folder.name)
        versions = {_versions(file)[1]: file for file in folder.glob("*.parquet") if file.name[0].isdigit()}
        kept, version = set(published.pending), published.version
        while version in versions and versions[version] not in kept and len(kept) < KEPT_FILES:
            kept.add(versions[version])
            version = _versions(versions[version])[0]
        for file in sorted(set(versions.values()) - kept):
            file.unlink()
            removed.append(file)
    return removed


def _write_whole(mart: PublishedMart) -> bool:
    if not mart.pending:
        return False
    import duckdb

    spill = str(mart.whole.parent / ".spill")
    with suppress(StorageError), open_draft(mart.whole) as draft:
        with duckdb.connect(config={"threads": 2, "memory_limit": MEMORY_LIMIT, "temp_directory": spill}) as connection:
            connection.execute(
                f"copy (select * from {relation(mart)} order by {', '.join(sort_key(mart.pending))}) to '{draft}'"  # noqa: S608
                f" (format parquet, compression zstd, kv_metadata {{version: '{mart.newest_version}'}})"
            )
        sync(draft)
        # Publication of this version, which skew and releases report, not the time of this copy.
        os.utime(draft, ns=(mart.published_at_ns, mart.published_at_ns))
        if _read_version(mart.whole) == mart.version:
            return True
        raise StorageError(f"a build has published {mart.whole} whole meanwhile")
    return False


def _follow_chain(marts: Path, name: str, version: str) -> tuple[Path, ...]:
    files = {_versions(path)[0]: path for path in (marts / CHANGES_FOLDER / name).glob("[0-9]*-[0-9]*.parquet")}
    chain: list[Path] = []
    while version in files:
        if files[version] in chain:
            raise StorageError(
                f"the change files in {files[version].parent} lead from version {version} back to it; remove this folder and "
                "run `dbt build --project-dir dbt --full-refresh`"
            )
        chain.append(files[version])
        version = _versions(files[version])[1]
    return tuple(chain)


def _versions(file: Path) -> tuple[str, str]:
    """(previous version, version) of a change file."""
    previous, _, version = file.stem.partition("-")
    return previous, version


def _read_version(whole: Path) -> str | None:
    if not whole.exists():
        return None
    version = (pq.read_metadata(whole).metadata or {}).get(VERSION_KEY)
    return None if version is None else str(version.decode())


def main() -> None:
    """Apply the pending changes of the home's marts."""
    from config import settings

    print("wrote " + (", ".join(apply_changes(settings.load_settings().marts)) or "nothing: no changes are pending"))


if __name__ == "__main__":
    main()
