"""`python -m local.retention [--dry-run]`: remove what is older than its lifetime and needed by nothing.

Lifetimes are settings (`SEGUE_KEEP_*_DAYS`, docs/settings.md). Waits until no task of the pipeline runs, so that no file in use
is removed; the recommender keeps running. `--dry-run` prints what would be removed and changes nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from config.command_line import report_errors
from config.settings import FOREVER, Lifetimes, SettingError, Settings, load_settings
from config.tool_environment import tool_environment
from ingestion.landing_zone import EMPTY_PARTITION, landing_lock
from local.process_lock import ALL_TASKS
from local.recovery.backup import LOCK_NAMES
from releases.pointer import STORE_FOLDER, Pointer, release_lock
from storage import object_store
from storage.file_lock import file_lock, held_locks
from storage.files import read_json
from training import CACHE_FOLDER

KEPT_ROLLBACKS = 3
"""Number of earlier releases that `rollback` can return to, one after the other."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Removal:
    """A file or folder that may be removed."""

    store: str
    path: Path
    reason: str


def find_removals(here: Settings, lifetimes: Lifetimes, now: datetime) -> list[Removal]:
    """Everything in the home that may be removed, except MLflow runs."""
    removals, needed = [], needed_paths(here)
    for rule in RULES:
        days = getattr(lifetimes, rule.store)
        if days == FOREVER:
            continue
        paths = object_store.list_files(getattr(here, rule.folder), rule.pattern)
        paths = [path for path in paths if path not in needed and path.parent.name != EMPTY_PARTITION]
        limit = _first_kept_month(here, days) if rule.folder == "landing" else now - timedelta(days=days)
        times = {path: rule.time_of(path) for path in paths}
        removals += [Removal(rule.store, path, rule.reason.format(at)) for path, at in times.items() if at < limit]
    return removals


def needed_paths(here: Settings) -> set[Path]:
    """What stays whatever its age: the needed releases and the newest one, the workspaces that they come from and the newest
    of each recipe, histories of reports, and what is no folder of a release or no file of a report.
    """
    served, stored = needed_releases(here).values(), list((here.releases / STORE_FOLDER).glob("*"))
    newest = max((folder for folder in stored if folder.is_dir()), key=_released_at, default=None)
    manifests = [read_json(folder / "manifest.json") for folder in served]
    of_releases = [here.training / f"{manifest.get('as_of')}-{manifest.get('recipe')}" for manifest in manifests]
    of_recipes = {folder.name[11:]: folder for folder in sorted(here.training.glob(WORKSPACES))}
    others = [path for path in stored if not path.is_dir() or path == newest]
    history = here.reports / "history"
    others += [path for path in here.reports.rglob("*") if not path.is_file() or path.is_relative_to(history)]
    return {*served, *of_releases, *of_recipes.values(), *others}


def needed_releases(here: Settings) -> dict[str, Path]:
    """Release ▸ folder of those that are served or that a rollback may activate."""
    pointer = Pointer(here.releases / "active.json")
    split = read_json(here.releases / "shares.json")
    needed = [*([pointer.active] if pointer.active else []), *(row["release"] for row in split.get("canaries", []))]
    needed += [release for release in pointer.rollback_targets() if release not in needed][:KEPT_ROLLBACKS]
    return {release: here.releases / STORE_FOLDER / release for release in needed}


def _end_of_partition(file: Path) -> datetime:
    """The last moment of the partition `dt=2026-06-30` or `dt=2026-06` that has the file."""
    name = file.parent.name.removeprefix("dt=")
    is_month = len(name) == len("2026-06")
    day = date.fromisoformat(f"{name}-28") + timedelta(days=4) if is_month else date.fromisoformat(name)
    return datetime.combine(day.replace(day=1) - timedelta(days=1) if is_month else day, time.max, UTC)


def _changed_at(path: Path) -> datetime:
    """Newest modification time of a file, or of a folder and what it contains."""
    files = [path, *(path.rglob("*") if path.is_dir() else ())]
    return datetime.fromtimestamp(max(file.stat().st_mtime for file in files), UTC)


def _released_at(folder: Path) -> datetime:
    """Time of the release; of an incomplete one, the time of its folder."""
    text = read_json(folder / "manifest.json").get("released_at")
    return datetime.fromisoformat(text) if text else _changed_at(folder)


def _first_kept_month(here: Settings, days: int) -> datetime:
    """Of landed events, counted from the newest landed day, in whole months, so that marts are recomputed once a month."""
    files = object_store.list_files(here.landing, "listening_events/dt=*/*.parquet")
    first = max(map(_end_of_partition, files), default=EPOCH) - timedelta(days=days)
    return datetime(first.year, first.month, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Rule:
    """What is removed after the lifetime of a store."""

    store: str  # field of `Lifetimes`
    folder: str  # property of `Settings`
    pattern: str
    time_of: Callable[[Path], datetime]
    reason: str  # with that time


WORKSPACES = "????-??-??-*"
RULES = (
    *(
        Rule("landed", "landing", f"{table}/dt=*/*.parquet", _end_of_partition, "partition until {:%Y-%m-%d}")
        for table in ("listening_events", "exposures")
    ),
    Rule("landed", "quarantine", "*/dt=*/*.parquet", _end_of_partition, "quarantined {:%Y-%m-%d}"),
    Rule("feature_log", "feature_log", "**/dt=*/*.jsonl", _end_of_partition, "log of {:%Y-%m-%d}"),
    Rule("workspaces", "training", WORKSPACES, _changed_at, "workspace, last written on {:%Y-%m-%d}"),
    Rule("workspaces", "training", f"{CACHE_FOLDER}/*", _changed_at, "cached arrays, last written on {:%Y-%m-%d}"),
    Rule("releases", "releases", f"{STORE_FOLDER}/*", _released_at, "released on {:%Y-%m-%d}, not in service"),
    Rule("reports", "reports", "*/**/*", _changed_at, "written on {:%Y-%m-%d}"),
)

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
            if runs and not is_dry_run:
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
    with nullcontext() if options.dry_run else no_running_tasks(here):
        print(*prune(here, lifetimes, datetime.now(UTC), is_dry_run=options.dry_run), sep="\n")
    return 0


MAX_RUNS = 3000
"""Runs that are removed at once: their ids are one argument of a command, which Linux limits to 128 KiB. The next removal finds
the others.
"""


def find_old_runs(here: Settings, days: int, now: datetime) -> list[str]:
    """Ids of at most MAX_RUNS runs that ended before the lifetime, oldest first, with those whose removal failed midway.

    Runs that never ended, because their process was killed, follow if they started before the lifetime.
    """
    if days == FOREVER or not (here.mlflow / "mlflow.db").exists():
        return []
    from mlflow.entities import ViewType  # takes seconds

    client, limit_ms = _client(here), int((now - timedelta(days=days)).timestamp() * 1000)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    conditions = {
        "attributes.end_time": f"attributes.end_time < {limit_ms}",
        "attributes.start_time": f"attributes.status = 'RUNNING' and attributes.start_time < {limit_ms}",
    }
    pages = [
        client.search_runs(experiments, condition, ViewType.ALL, MAX_RUNS, [order])
        for order, condition in conditions.items()
    ]
    return list(dict.fromkeys(run.info.run_id for page in pages for run in page))[:MAX_RUNS]


def remove_runs(here: Settings, run_ids: list[str]) -> None:
    """Remove the runs; MLflow deletes in two steps."""
    client, variables = _client(here), tool_environment(here)
    uri = variables["MLFLOW_TRACKING_URI"]
    for run_id in run_ids:
        if client.get_run(run_id).info.lifecycle_stage == "active":
            client.delete_run(run_id)
    words = ["-m", "mlflow", "gc", "--backend-store-uri", uri, "--tracking-uri", uri, "--run-ids", ",".join(run_ids)]
    subprocess.run([sys.executable, *words], env=os.environ | variables, check=True, stdout=subprocess.DEVNULL)


def _client(here: Settings) -> Any:
    from mlflow import MlflowClient  # takes seconds

    return MlflowClient(tracking_uri=tool_environment(here)["MLFLOW_TRACKING_URI"])


if __name__ == "__main__":
    sys.exit(main())
