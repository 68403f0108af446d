"""`python -m local.retention [--dry-run]`: remove what is older than its lifetime and needed by nothing.

Lifetimes are settings (`SEGUE_KEEP_*_DAYS`, docs/settings.md). Waits until no task of the pipeline runs, so that no file in use
is removed; the recommender keeps running. `--dry-run` prints what would be removed and changes nothing.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path

from config.command_line import report_errors
from config.settings import Lifetimes, SettingError, Settings, load_settings
from ingestion.landing_zone import landing_lock
from local.process_lock import ALL_TASKS
from local.recovery.backup import LOCK_NAMES
from local.retention.mlflow_runs import find_old_runs, remove_runs
from local.retention.removals import Removal, find_removals, needed_releases
from storage import object_store
from storage.file_lock import file_lock, held_locks
from training.release.pointer import release_lock

LEFTOVER = ".removed-"
"""Prefix of folders that are being removed, in `training` and `bentoml`, where an erasure of users finds them."""


def prune(here: Settings, lifetimes: Lifetimes, now: datetime, *, is_dry_run: bool) -> list[str]:
    """Remove everything that may be removed; returns a line per store, and with `is_dry_run` one per file too."""
    if not is_dry_run:
        for leftover in (*here.training.glob(f"{LEFTOVER}*"), *here.releases.glob(f"{LEFTOVER}*")):
            _delete(leftover)
    removals, lines = find_removals(here, lifetimes, now), []
    for store, days in vars(lifetimes).items():
        if store == "mlflow":
            runs = find_old_runs(here, days, now)
            names, total = runs, f"{len(runs):>7,} runs"
            if not is_dry_run:
                remove_runs(here, runs)
        else:
            chosen = [removal for removal in removals if removal.store == store]
            size = sum(_size(removal.path) for removal in chosen)
            names = [f"{removal.path} ({removal.reason})" for removal in chosen]
            total = f"{len(chosen):>7,} files or folders {size / 1e6:>12,.1f} MB"
            for removal in () if is_dry_run else chosen:
                _remove(removal, here)
        lines += [*(f"{store}: {name}" for name in names if is_dry_run), f"{store:<12} {total}"]
    return lines


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in [path, *(path.rglob("*") if path.is_dir() else ())] if file.is_file())


def _remove(removal: Removal, here: Settings) -> None:
    path, is_release = removal.path, removal.store == "releases"
    if object_store.is_remote(path):
        path.unlink()
    elif not path.is_dir():
        path.unlink()
        with suppress(OSError):  # it has other files
            path.parent.rmdir()
    else:
        # An operator may have put a release into service meanwhile.
        with release_lock(here.releases) if is_release else nullcontext():
            if not is_release or path.name not in needed_releases(here):
                # Moved out of its store first: an interrupted removal leaves no half release or workspace.
                root = here.releases if is_release else here.training
                _delete(path.rename(root / f"{LEFTOVER}{removal.store}-{path.name}"))


def _delete(folder: Path) -> None:
    """Delete a folder; of a link to one, such as on a larger disk, both."""
    if folder.is_symlink():
        shutil.rmtree(folder.resolve())
        folder.unlink()
    else:
        shutil.rmtree(folder)


@contextmanager
def no_running_tasks(here: Settings) -> Iterator[None]:
    """Hold the locks of all tasks, of erasures and backups, and of landings; waits for those that run."""
    folder = here.home / "run"
    waiting = f"waiting: {', '.join(held_locks(folder)) or 'a task'} runs in {here.home}"
    with (
        file_lock(folder / f"{ALL_TASKS}.lock", waiting=waiting),
        file_lock(folder / f"{LOCK_NAMES[0]}.lock", waiting=waiting),
        landing_lock(here.home),
    ):
        yield


@report_errors(SettingError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local.retention", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be removed")
    options = parser.parse_args(arguments)
    here, lifetimes = load_settings(), Lifetimes()
    if options.dry_run:
        print(*prune(here, lifetimes, datetime.now(UTC), is_dry_run=True), sep="\n")
        return 0
    with no_running_tasks(here):
        print(*prune(here, lifetimes, datetime.now(UTC), is_dry_run=False), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
