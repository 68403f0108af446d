"""`python -m local.recovery.backup --to FOLDER`: backs up SEGUE_HOME to a new folder while the services run.

A backup has what cannot be rebuilt, and what makes a restored home answer like the original: landed tables, quarantine, event
store, feature log, suppression list, unfinished erasures, marts, online store, state of the recommender, releases and reports. It
is consistent without stopping the recommender: tables are protected by the locks of their writers, and SQLite files are copied with
SQLite's backup API. So every event that was acknowledged before the backup began is in it, and every event that the copied online
store lacks is in the copied event store, which is copied later. Readers of the feature log, which only grows, leave out a last
line that is not complete.

Not included: training workspaces, encoded content, warehouse, simulated worlds, exported lists, `logs`, MLflow, Airflow, and tables
on object storage (`SEGUE_TABLES`) or features in Redis, which have their own backups. The manifest `backup.json` has the checksum of
every file and is written last.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from config.command_line import report_errors
from config.settings import SettingError, Settings, load_settings
from event_store.sqlite_stores import EVENTS_FILE, KEY_FILE, SERVING_FILE
from storage.file_lock import file_lock
from storage.files import DRAFT_SUFFIX, hash_file, list_nested_files, read_json
from storage.suppression_list import FORMER_FILE, UNFINISHED_FILE

MANIFEST_FILE = "backup.json"
BACKUP_FORMAT = 2
LOCK_NAMES = ("forget", "build_marts", "publish_marts")
"""Process locks (`SEGUE_HOME/run/<name>.lock`) of the commands that rewrite tables: erasure of users, and the marts."""
STATE_FILES = (
    *(UNFINISHED_FILE, "suppression_list.json", FORMER_FILE, "home_format", f"serving/{KEY_FILE}"),
    *("bentoml/active.json", "bentoml/shares.json"),
)
"""Copied first: they may be older than what they refer to, never newer."""
RELEASES = "bentoml/models/segue"
CHECKSUM_FILE = "files.sha256"
"""Written last in the folder of a release: without it the release is incomplete."""
SQLITE_FILES = (
    "feast/online.db",
    *(f"serving/{EVENTS_FILE}", f"serving/{SERVING_FILE}"),
)
"""In this order: what the online store has may be older than the events."""
FEATURE_REGISTRY = "feast/registry.db"
FOLDERS = ("landing", "quarantine", "marts", "media", "reports", "requests")
IGNORED = ("*.tmp", "*.writing", "*.partial", "*.forgetting", "*.lock", ".lock", "tmp_*.parquet", ".spill/*")


class BackupError(RuntimeError):
    """The backup cannot be made; the message names the reason and the remedy."""


@dataclass(frozen=True)
class BackupFile:
    """One file of a backup."""

    sha256: str
    size: int
    mtime_ns: int  # modification time


@dataclass(frozen=True)
class BackupManifest:
    """What a backup contains."""

    created_at: str  # ISO 8601, UTC: when the backup began
    online_store: str  # sqlite or redis; rows in Redis are not in the backup
    tables_url: str  # object storage of the tables; they are not in the backup
    release: str | None  # id of the active release
    files: dict[str, BackupFile]  # path relative to the home ▸ file
    format: int = BACKUP_FORMAT


def backup(settings: Settings, target: Path) -> BackupManifest:
    """Back up a home to the new folder `target`.

    Raises:
        BackupError: `target` has files, or is inside the home, or the active release is not in the store.
    """
    home, target = settings.home, target.resolve()
    if target.is_relative_to(home) or home.is_relative_to(target):
        raise BackupError(f"{target} and SEGUE_HOME={home} contain one another; choose a folder outside")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupError(f"{target} is not empty; choose a new folder")
    draft = target.with_name(target.name + DRAFT_SUFFIX)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    try:
        manifest = _fill(settings, draft)
    except BaseException:  # what is copied has data of users, and no erasure looks for it
        shutil.rmtree(draft, ignore_errors=True)
        raise
    if target.exists():
        target.rmdir()
    draft.rename(target)
    return manifest


def _fill(settings: Settings, draft: Path) -> BackupManifest:
    """Copy a home to the folder `draft`, the manifest last."""
    home, created_at = settings.home, datetime.now(UTC).isoformat(timespec="seconds")
    copier = _Copier(home, draft)
    with _locked(settings):
        for name in STATE_FILES:
            copier.copy(home / name)
        release = read_json(draft / "bentoml" / "active.json").get("release")
        for folder in sorted((home / RELEASES).glob("*")):
            if (folder / CHECKSUM_FILE).exists():
                copier.copy_folder(folder)
        copier.copy(home / RELEASES / "latest")
        for name in SQLITE_FILES:
            if (home / name).exists():
                copier.copy_sqlite(home / name)
        copier.copy(home / FEATURE_REGISTRY)
        for name in FOLDERS:
            copier.copy_folder(home / name)
    if release is not None and f"{RELEASES}/{release}/{CHECKSUM_FILE}" not in copier.files:
        raise BackupError(f"the active release {release} is not complete in {home / RELEASES}; release it again")
    manifest = BackupManifest(
        created_at, settings.online_store, settings.tables_url, release, dict(sorted(copier.files.items()))
    )
    (draft / MANIFEST_FILE).write_text(json.dumps(asdict(manifest), indent=1) + "\n")
    return manifest


class _Copier:
    """Copies files of a home to the same path below another folder, and records them in `files`."""

    def __init__(self, home: Path, target: Path) -> None:
        self._home, self._target = home, target
        self.files: dict[str, BackupFile] = {}

    def copy(self, path: Path) -> None:
        """Copy a file, if it exists."""
        copy = self._copy_of(path)
        try:
            modified_ns = path.stat().st_mtime_ns
            create_like(copy, path)
            shutil.copyfile(path, copy)
        except FileNotFoundError:
            copy.unlink(missing_ok=True)
            return
        self._record(copy, modified_ns)

    def copy_folder(self, folder: Path) -> None:
        """Copy the files of a folder, without files that are being written."""
        for path in list_nested_files(folder):
            if path.is_file() and not any(path.match(pattern) for pattern in IGNORED):
                self.copy(path)

    def copy_sqlite(self, path: Path) -> None:
        """Copy a SQLite database as of one moment, while other processes write it."""
        copy = self._copy_of(path)
        modified_ns = path.stat().st_mtime_ns
        try:
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as database:
                source.backup(database)
                database.execute("pragma journal_mode = delete")  # one file, without a write-ahead log beside it
        except sqlite3.OperationalError as error:
            raise BackupError(
                f"{path} cannot be copied to {copy} ({error}); check the free space there, then run this again"
            ) from error
        except sqlite3.DatabaseError as error:
            raise BackupError(
                f"{path} is damaged ({error}); stop the recommender and move the file away (python -m sequences.online.materialize "
                "--as-of DAY --force writes the online store again), then run this again"
            ) from error
        self._record(copy, modified_ns)

    def _copy_of(self, path: Path) -> Path:
        copy = self._target / path.relative_to(self._home)
        copy.parent.mkdir(parents=True, exist_ok=True)
        return copy

    def _record(self, copy: Path, modified_ns: int) -> None:
        os.utime(copy, ns=(modified_ns, modified_ns))
        name = copy.relative_to(self._target).as_posix()
        self.files[name] = BackupFile(hash_file(copy), copy.stat().st_size, modified_ns)


def create_like(copy: Path, path: Path) -> None:
    """Create an empty file that is readable by those who may read `path`, and writable by its owner."""
    copy.touch(mode=stat.S_IMODE(path.stat().st_mode) | stat.S_IRUSR | stat.S_IWUSR)


@contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """Hold the locks of the commands that rewrite tables, in the order of `privacy.erase`; the recommender has none of them."""
    erasure, *marts = (f"run/{name}.lock" for name in LOCK_NAMES)
    materialization = f"feast/materialized-{settings.online_store}.lock"
    with ExitStack() as locks:
        for name in (erasure, "landing/.lock", *marts, materialization):
            path = settings.home / name
            locks.enter_context(file_lock(path, waiting=f"waiting: a command that writes tables holds {path}"))
        yield


@report_errors(SettingError, BackupError, OSError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local.recovery.backup", description="Back up SEGUE_HOME to a new folder."
    )
    parser.add_argument("--to", required=True, type=Path, metavar="FOLDER", help="new folder outside SEGUE_HOME")
    options = parser.parse_args(arguments)
    settings = load_settings()
    manifest = backup(settings, options.to)
    size = sum(file.size for file in manifest.files.values())
    print(f"{options.to}: {len(manifest.files):,} files, {size / 1e6:,.1f} MB, release {manifest.release or 'none'}")
    if manifest.tables_url:
        print(f"the tables in {manifest.tables_url} are not included; back up the bucket")
    if manifest.online_store == "redis":
        print(
            "the features in Redis are not included; `python -m sequences.online.materialize --as-of DAY --force` writes them after "
            "a restore"
        )
    if settings.event_store:
        print("the events in Redis are not included; back up its append-only file")
    return 0


if __name__ == "__main__":
    sys.exit(main())
