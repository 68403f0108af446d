"""`python -m local.retention [--dry-run]`: remove what is older than its lifetime and needed by nothing.

Lifetimes are settings (`SEGUE_KEEP_*_DAYS`, docs/settings.md). Waits until no task of the pipeline runs, so that no file in use
is removed; the recommender keeps running. `--dry-run` prints what would be removed and changes nothing.
"""

from __future__ import annotations

import argparse
import fcntl
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from config.retention_settings import FOREVER, Lifetimes, load_lifetimes
from config.settings import SettingError, Settings, load_settings
from local.process_lock import ALL_TASKS, RETENTION
from local.retention.mlflow_runs import find_old_runs, remove_runs
from local.retention.removals import Removal, find_removals, needed_releases
from storage import object_store
from training.release.pointer import release_lock

POLL_SECONDS = 5
LEFTOVER = ".removed-"
"""Prefix of folders that are being removed, in `training` and `bentoml`, where an erasure of users finds them."""


def prune(here: Settings, lifetimes: Lifetimes, now: datetime, *, is_dry_run: bool) -> list[str]:
    """Remove everything that may be removed; returns a line per store, and with `is_dry_run` one per file too."""
    if not is_dry_run:
        for root in (here.training, here.releases):
            for leftover in root.glob(f"{LEFTOVER}*"):
                _delete(leftover)
    removals = find_removals(here, lifetimes, now)
    lines = []
    for store in vars(lifetimes):
        if store == "mlflow" and lifetimes.mlflow != FOREVER:
            runs = find_old_runs(here, lifetimes.mlflow, now)
            lines += [f"mlflow: run {run}" for run in runs if is_dry_run]
            lines.append(f"{store:<12} {len(runs):>7,} runs")
            if not is_dry_run:
                remove_runs(here, runs)
            continue
        chosen = [removal for removal in removals if removal.store == store]
        size = sum(_size(removal.path) for removal in chosen)
        lines += [f"{store}: {removal.path} ({removal.reason})" for removal in chosen if is_dry_run]
        lines.append(f"{store:<12} {len(chosen):>7,} files or folders {size / 1e6:>12,.1f} MB")
        if not is_dry_run:
            for removal in chosen:
                is_release = removal.store == "releases"
                # An operator may have put a release into service meanwhile.
                with release_lock(here.releases) if is_release else nullcontext():
                    if not (is_release and removal.path.name in needed_releases(here)):
                        _remove(removal, here.releases if is_release else here.training)
    return lines


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in [path, *(path.rglob("*") if path.is_dir() else ())] if file.is_file())


def _remove(removal: Removal, root: Path) -> None:
    """Remove a file, or a folder of `root`."""
    path = removal.path
    if object_store.is_remote(path) or not path.is_dir():
        path.unlink()
        if not object_store.is_remote(path) and not any(path.parent.iterdir()):
            path.parent.rmdir()
        return
    # Moved out of its store first: an interrupted removal leaves no half release or workspace.
    doomed = root / f"{LEFTOVER}{removal.store}-{path.name}"
    path.rename(doomed)
    _delete(doomed)


def _delete(folder: Path) -> None:
    """Delete a folder; of a link to one, such as on a larger disk, both."""
    if folder.is_symlink():
        shutil.rmtree(folder.resolve())
        folder.unlink()
    else:
        shutil.rmtree(folder)


@contextmanager
def no_running_tasks(here: Settings) -> Iterator[None]:
    """Hold the locks of all tasks and of landing; waits, without holding any, while one of them runs."""
    is_waiting = False
    while True:
        with ExitStack() as locks:
            running = _lock_all(here, locks)
            if running is None:
                yield
                return
        if not is_waiting:
            print(f"waiting: {running} runs in {here.home}", file=sys.stderr, flush=True)
        is_waiting = True
        time.sleep(POLL_SECONDS)


def _lock_all(here: Settings, locks: ExitStack) -> str | None:
    """Lock all; returns the name of one that is held, None if all were free. No task starts while they are held."""
    landing = here.home / "landing" / ".lock"
    every = here.home / "run" / f"{ALL_TASKS}.lock"
    every.parent.mkdir(parents=True, exist_ok=True)
    every.touch()
    tasks = {*every.parent.glob("*.lock")} - {every, every.with_stem(RETENTION)}
    # The lock of all tasks is the last one, because the others have better names.
    for path in [*([landing] if landing.exists() else ()), *sorted(tasks), every]:
        file = locks.enter_context(path.open("a"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "a landing" if path == landing else path.stem
    return None


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local.retention", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be removed")
    options = parser.parse_args(arguments)
    try:
        here, lifetimes = load_settings(), load_lifetimes()
    except SettingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.dry_run:
        print(*prune(here, lifetimes, datetime.now(UTC), is_dry_run=True), sep="\n")
        return 0
    with no_running_tasks(here):
        print(*prune(here, lifetimes, datetime.now(UTC), is_dry_run=False), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
