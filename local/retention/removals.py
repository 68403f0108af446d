"""Finds what is older than its lifetime and needed by nothing.

`RULES` is the table of what is removed and what stays whatever its age. Files are read, not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from config.settings import FOREVER, Lifetimes, Settings
from ingestion.landing_zone import EMPTY_PARTITION
from storage import object_store
from storage.files import read_json
from training.engine.workspace import CACHE_FOLDER
from training.release.pointer import STORE_FOLDER, Pointer

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
    removals = []
    for rule in RULES:
        if (days := getattr(lifetimes, rule.store)) != FOREVER:
            paths = object_store.list_files(getattr(here, rule.folder), rule.pattern)
            limit, needed = rule.limit(here, now, timedelta(days=days)), rule.needed(here, paths)
            times = {path: rule.time_of(path) for path in paths if path not in needed}
            removals += [Removal(rule.store, path, rule.reason.format(at)) for path, at in times.items() if at < limit]
    return removals


def needed_releases(here: Settings) -> dict[str, Path]:
    """Release ▸ folder of those that are served or that a rollback may activate."""
    pointer = Pointer(here.releases / "active.json")
    split = read_json(here.releases / "shares.json")
    needed = [*([pointer.active] if pointer.active else []), *(row["release"] for row in split.get("beside", []))]
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
    """Time of the release; an incomplete one has that of its folder."""
    text = read_json(folder / "manifest.json").get("released_at")
    return datetime.fromisoformat(text) if text else _changed_at(folder)


def _before_lifetime(_: Settings, now: datetime, lifetime: timedelta) -> datetime:
    return now - lifetime


def _before_month_of_events(here: Settings, _: datetime, lifetime: timedelta) -> datetime:
    """Counted from the newest landed day, in whole months, so that marts are recomputed once a month."""
    files = object_store.list_files(here.landing, "listening_events/dt=*/*.parquet")
    first = max(map(_end_of_partition, files), default=EPOCH) - lifetime
    return datetime(first.year, first.month, 1, tzinfo=UTC)


def _nothing(*_: object) -> Collection[Path]:
    return ()


def _empty_partition(_: Settings, files: Sequence[Path]) -> Collection[Path]:
    return {file for file in files if file.parent.name == EMPTY_PARTITION}


def _needed_workspaces(here: Settings, folders: Sequence[Path]) -> Collection[Path]:
    """Those of needed releases, and the newest of each recipe."""
    manifests = [read_json(folder / "manifest.json") for folder in needed_releases(here).values()]
    newest = {folder.name[11:]: folder for folder in folders}
    of_releases = {here.training / f"{manifest.get('as_of')}-{manifest.get('recipe')}" for manifest in manifests}
    return of_releases.union(newest.values())


def _needed_releases(here: Settings, folders: Sequence[Path]) -> Collection[Path]:
    """Those of `needed_releases`, the newest, and BentoML's link to it."""
    released = [folder for folder in folders if folder.is_dir()]
    newest = max(released, key=_released_at, default=None)
    return {*needed_releases(here).values(), *(folder for folder in folders if not folder.is_dir() or folder == newest)}


def _folders_and_histories(here: Settings, paths: Sequence[Path]) -> Collection[Path]:
    return {path for path in paths if not path.is_file() or path.is_relative_to(here.reports / "history")}


@dataclass(frozen=True)
class Rule:
    """What is removed after the lifetime of a store."""

    store: str  # field of `Lifetimes`
    folder: str  # property of `Settings`
    pattern: str
    time_of: Callable[[Path], datetime]
    reason: str  # with that time
    limit: Callable[[Settings, datetime, timedelta], datetime] = _before_lifetime
    needed: Callable[[Settings, Sequence[Path]], Collection[Path]] = _nothing  # stay whatever their age


RULES = (
    *(
        Rule(
            "landed",
            "landing",
            f"{table}/dt=*/*.parquet",
            _end_of_partition,
            "partition until {:%Y-%m-%d}",
            _before_month_of_events,
            _empty_partition,
        )
        for table in ("listening_events", "exposures")
    ),
    Rule("landed", "quarantine", "*/dt=*/*.parquet", _end_of_partition, "quarantined {:%Y-%m-%d}"),
    Rule("feature_log", "feature_log", "**/dt=*/*.jsonl", _end_of_partition, "log of {:%Y-%m-%d}"),
    Rule(
        "workspaces",
        "training",
        "????-??-??-*",
        _changed_at,
        "workspace, last written on {:%Y-%m-%d}",
        needed=_needed_workspaces,
    ),
    Rule("workspaces", "training", f"{CACHE_FOLDER}/*", _changed_at, "cached arrays, last written on {:%Y-%m-%d}"),
    Rule(
        "releases",
        "releases",
        f"{STORE_FOLDER}/*",
        _released_at,
        "released on {:%Y-%m-%d}, not in service",
        needed=_needed_releases,
    ),
    Rule("reports", "reports", "*/**/*", _changed_at, "written on {:%Y-%m-%d}", needed=_folders_and_histories),
)
