"""`python -m local.recovery.restore --from FOLDER`: restores a backup of `local.recovery.backup` into an empty SEGUE_HOME, on any machine.

The checksums of all files are verified before anything is written. Users who were erased after the backup was made must stay
erased: their current suppression list is read from `SEGUE_HOME/suppression_list.json` if that file is there, or from the file that
`--suppression` names, and joined with the backup's. The data of its users is erased before the restored files appear at their
paths.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from config.command_line import report_errors
from config.settings import ROOT, SettingError, Settings, load_settings
from event_store.opened import open_event_store, open_serving_state
from local.environment import environment
from local.recovery.backup import BACKUP_FORMAT, MANIFEST_FILE, BackupFile, BackupManifest, create_like
from storage import suppression_list
from storage.files import DiskSpaceError, check_disk_space, hash_file
from storage.suppression_list import UNSIGNED_EXIT_CODE, SuppressionList, SuppressionListError

STAGING_FOLDER = ".restoring"
LOST_AND_FOUND = "lost+found"
"""Folder that a new volume has at its root (ext4)."""


class RestoreError(RuntimeError):
    """The backup cannot be restored; nothing was changed. The message names the reason and the remedy."""


def restore(settings: Settings, source: Path, suppression: Path | None = None) -> tuple[BackupManifest, str]:
    """Restore the backup in `source` into the empty home of the settings.

    Args:
        settings: The settings, also of this process.
        source: Folder of the backup.
        suppression: The current suppression list; default: that in the home, if there is one.

    Returns:
        The manifest, and what the erasure of suppressed users printed.

    Raises:
        RestoreError: The backup is damaged or of another version, the home is not empty, or the suppression lists cannot be
            joined.
        SuppressionListError: A suppression list is damaged.
        DiskSpaceError: The disk does not have enough space.
        StoreUnavailable: The home is on a file system of other machines.
    """
    manifest = read_manifest(source)
    home = settings.home
    found = [path.name for path in home.iterdir()] if home.exists() else []
    expected = {settings.suppression_list.name, suppression_list.FORMER_FILE, STAGING_FOLDER, LOST_AND_FOUND}
    if others := sorted(set(found) - expected):
        raise RestoreError(
            f"SEGUE_HOME={home} is not empty ({others[0]}); stop the services and move it away (mv {home} {home}.old), or choose "
            "another folder: SEGUE_HOME=PATH"
        )
    verify(source, manifest)
    users = _join_lists(source, settings, suppression)
    # Inside, because the home may be a mount point, which cannot be replaced and is a file system of its own.
    staging = home / STAGING_FOLDER
    shutil.rmtree(staging, ignore_errors=True)
    size_mb = sum(file.size for file in manifest.files.values()) >> 20
    check_disk_space(staging, size_mb + 1)
    try:
        output = _fill(staging, source, manifest, users, settings)
    except BaseException:  # the copy may have data of erased users
        shutil.rmtree(staging, ignore_errors=True)
        raise
    _publish(staging, home, settings.suppression_list.name)
    return manifest, output


def _fill(
    staging: Path, source: Path, manifest: BackupManifest, users: SuppressionList | None, settings: Settings
) -> str:
    """Copy the files of a backup and erase the users of the list from the copy; returns what the erasure printed."""
    for name, file in manifest.files.items():
        copy = staging / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        create_like(copy, source / name)
        shutil.copyfile(source / name, copy)
        os.utime(copy, ns=(file.mtime_ns, file.mtime_ns))
    staged = settings.model_copy(update={"home": staging, "event_store": ""})  # the files of the backup
    for open_store in (open_event_store, open_serving_state):
        with closing(open_store(staged)) as store:
            store.renew_id()  # positions after the backup say nothing about its content
    if users is None:
        return ""
    users.write(staging / settings.suppression_list.name)
    return _erase_suppressed(staged)


def _publish(staging: Path, home: Path, list_name: str) -> None:
    """Move the restored files into the home: first the joined suppression list, last the file that marks it as readable."""
    for path in sorted(staging.iterdir(), key=lambda path: (path.name != list_name, path.name == "home_format")):
        path.replace(home / path.name)
    staging.rmdir()


def read_manifest(source: Path) -> BackupManifest:
    """The manifest of a backup.

    Raises:
        RestoreError: There is none, or another version wrote it.
    """
    try:
        content = json.loads((source / MANIFEST_FILE).read_text())
        files = {str(name): BackupFile(**file) for name, file in content.pop("files").items()}
        manifest = BackupManifest(**content, files=files)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RestoreError(
            f"{source} is not a complete backup: {MANIFEST_FILE} cannot be read ({error}); choose another backup"
        ) from error
    if manifest.format != BACKUP_FORMAT:
        raise RestoreError(
            f"{source} was made by another version of Segue (backup format {manifest.format}, this version has {BACKUP_FORMAT}); "
            "restore it with that version"
        )
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in manifest.files):
        raise RestoreError(f"{source / MANIFEST_FILE} has paths outside the home; choose another backup")
    return manifest


def verify(source: Path, manifest: BackupManifest) -> None:
    """Check the size and checksum of every file of a backup.

    Raises:
        RestoreError: A file is missing or was changed.
    """
    damaged = [
        name
        for name, file in manifest.files.items()
        if not (source / name).is_file()
        or (source / name).stat().st_size != file.size
        or hash_file(source / name) != file.sha256
    ]
    if damaged:
        raise RestoreError(
            f"the backup in {source} is damaged: {damaged[0]} differs from {MANIFEST_FILE}, {len(damaged)} of "
            f"{len(manifest.files)} files do; choose another backup"
        )


def _join_lists(source: Path, settings: Settings, suppression: Path | None) -> SuppressionList | None:
    """The users of the backup's suppression list and of the current ones; None if there is no list."""
    if suppression is not None and not suppression.is_file():
        raise RestoreError(
            f"the suppression list {suppression} does not exist; name the suppression_list.json of the home"
        )
    paths = (source / settings.suppression_list.name, settings.suppression_list, suppression)
    found = [path for path in paths if path is not None and suppression_list.read_content(path) is not None]
    lists = [suppression_list.read_suppression_list(path) for path in found]
    lists = [users for users in lists if users] or lists[:1]
    if not lists:
        return None
    if len({users.salt for users in lists}) > 1:
        raise RestoreError(
            "the suppression lists of the backup and of this home have different salts, so they cannot be joined: erase the "
            "users of one of them again (python -m privacy.erase) after restoring with the other"
        )
    return replace(lists[0], hashes=frozenset(one for users in lists for one in users.hashes))


def _erase_suppressed(settings: Settings) -> str:
    """Erase the data of all users in the suppression list; returns what the command printed."""
    command = [sys.executable, "-m", "privacy.erase", "--suppressed"]
    done = subprocess.run(command, cwd=ROOT, env=environment(settings), capture_output=True, text=True, check=False)
    if done.returncode not in (0, UNSIGNED_EXIT_CODE):
        raise RestoreError(
            "nothing was restored, because the users of the suppression list could not be erased from the copy; correct this and "
            f"run the command again: {done.stderr[-2000:]}"
        )
    return done.stdout + (done.stderr if done.returncode else "")


@report_errors(SettingError, RestoreError, SuppressionListError, DiskSpaceError, OSError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local.recovery.restore", description="Restore a backup into SEGUE_HOME."
    )
    parser.add_argument("--from", required=True, dest="source", type=Path, metavar="FOLDER", help="the backup")
    parser.add_argument(
        "--suppression",
        type=Path,
        metavar="FILE",
        help="current suppression list (suppression_list.json) of the lost home",
    )
    options = parser.parse_args(arguments)
    settings = load_settings()
    has_current_list = bool(options.suppression) or suppression_list.read_content(settings.suppression_list) is not None
    manifest, output = restore(settings, options.source, options.suppression)
    print(output, end="")
    print(f"{settings.home}: restored the backup of {manifest.created_at}, release {manifest.release or 'none'}")
    if not has_current_list:
        print(
            f"no current suppression list was given: if users were erased after {manifest.created_at}, erase them again "
            "(python -m privacy.erase USER) before you start the services"
        )
    if manifest.tables_url:
        print(f"the tables are those in {manifest.tables_url}")
    if settings.online_store == "redis" or manifest.online_store == "redis":
        print(
            "write the online store: python -m local.environment python -m sequences.online.materialize --as-of DAY --force"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
