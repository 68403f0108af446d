"""Finds what is older than its lifetime and needed by nothing.

Kept whatever their age: releases that are served, shared with users or reachable by a rollback, and the newest; the workspaces
that they came from, and the newest of each recipe; event logs that are not yet landed, materialized and in the online store.
Files are read, not changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from config.retention_settings import FOREVER, Lifetimes
from config.settings import Settings
from storage import daily_files, object_store
from training.release.pointer import Pointer

EVENT_TABLES = ("listening_events", "exposures")
KEPT_ROLLBACKS = 3
"""Number of earlier releases that `rollback` can return to, one after the other."""
STORED_RELEASES = "models/segue"
LIVE_SOURCE = "live"
READER_OF_LOG = {"events": "own_events", "exposures": "exposure_log"}
"""Name of a log's files ▸ reader that lands them."""
LANDING_SKEW = timedelta(minutes=10)
"""A file that changed within this time before a landing began may have lines that it did not land."""


@dataclass(frozen=True)
class Removal:
    """A file or folder that may be removed."""

    store: str
    path: Path
    reason: str


def find_removals(here: Settings, lifetimes: Lifetimes, now: datetime) -> list[Removal]:
    """Everything in the home that may be removed, except MLflow runs."""
    finders: dict[str, Callable[[Settings, int, datetime], Iterator[tuple[Path, str]]]] = {
        "landed": _landed,
        "event_log": _event_log,
        "feature_log": _feature_log,
        "workspaces": _workspaces,
        "releases": _releases,
        "reports": _reports,
    }
    return [
        Removal(store, path, reason)
        for store, find in finders.items()
        if (days := getattr(lifetimes, store)) != FOREVER
        for path, reason in find(here, days, now)
    ]


def needed_releases(here: Settings) -> dict[str, Path]:
    """Release ▸ folder of those that are served or that a rollback may activate."""
    pointer = Pointer(here.releases / "active.json")
    split = _read_json(here.releases / "shares.json")
    needed = [*([pointer.active] if pointer.active else []), *(row["release"] for row in split.get("beside", []))]
    needed += [release for release in pointer.rollback_targets() if release not in needed][:KEPT_ROLLBACKS]
    return {release: here.releases / STORED_RELEASES / release for release in needed}


def _landed(here: Settings, days: int, now: datetime) -> Iterator[tuple[Path, str]]:
    """Partitions of whole months, so that marts are recomputed once a month."""
    partitions = {table: _partitions(here.landing / table) for table in EVENT_TABLES}
    newest = max((_last_day(name) for name in partitions["listening_events"]), default=date.min)
    if newest == date.min:
        return
    limit = (newest - timedelta(days=days)).replace(day=1)
    for files_of in partitions.values():
        for name, files in files_of.items():
            if _last_day(name) < limit and name != "1970-01-01":
                yield from ((file, f"partition {name}, newest day {newest}") for file in files)
    for file in object_store.list_files(here.quarantine, "*/dt=*/*.parquet"):
        if _last_day(name := file.parent.name.removeprefix("dt=")) < now.date() - timedelta(days=days):
            yield file, f"quarantined {name}"


def _event_log(here: Settings, days: int, now: datetime) -> Iterator[tuple[Path, str]]:
    landed_at, materialized = _last_live_landings(here), _last_materialized_day(here)
    for log in daily_files.log_folders(here.event_log):
        # The state of a replica is below `serving`, as its log is below `live`.
        watermark = _read_json(here.event_log_lock.parent / log.relative_to(here.event_log) / "pushed.json")
        yield from _removable_logs(
            here, log, watermark, min(now.date() - timedelta(days=days), materialized), landed_at
        )


def _removable_logs(
    here: Settings, log: Path, watermark: dict[str, Any], before: date, landed_at: dict[str, datetime]
) -> Iterator[tuple[Path, str]]:
    for file in sorted(log.glob("dt=*/*.jsonl")):
        day = _last_day(file.parent.name.removeprefix("dt="))
        changed = datetime.fromtimestamp(file.stat().st_mtime, UTC)
        landed = landed_at.get(READER_OF_LOG.get(file.name.split("-")[0], ""))
        if day >= before or landed is None or changed > landed - LANDING_SKEW:
            continue
        is_pushed = not file.name.startswith("events-") or (
            bool(watermark) and daily_files.sort_key(file.name) < daily_files.sort_key(str(watermark["file"]))
        )
        if is_pushed or here.broker:
            yield file, f"log of {day}, landed"


def _feature_log(here: Settings, days: int, now: datetime) -> Iterator[tuple[Path, str]]:
    for file in sorted(here.feature_log.glob("**/dt=*/*.jsonl")):
        if (day := _last_day(file.parent.name.removeprefix("dt="))) < now.date() - timedelta(days=days):
            yield file, f"log of {day}"


def _workspaces(here: Settings, days: int, now: datetime) -> Iterator[tuple[Path, str]]:
    limit = now - timedelta(days=days)
    kept = {_workspace_name(folder) for folder in needed_releases(here).values()}
    newest: dict[str, str] = {}
    folders = sorted(path for path in here.training.glob("????-??-??-*") if path.is_dir())
    for folder in folders:
        newest[folder.name[11:]] = folder.name
    for folder in folders:
        if folder.name not in kept | set(newest.values()) and (changed := _changed_at(folder)) < limit:
            yield folder, f"workspace, last written on {changed:%Y-%m-%d}"
    for folder in sorted((here.training / "kept").glob("*")):
        if (changed := _changed_at(folder)) < limit:
            yield folder, f"cached arrays, last written on {changed:%Y-%m-%d}"


def _releases(here: Settings, days: int, now: datetime) -> Iterator[tuple[Path, str]]:
    needed = needed_releases(here)
    released = {
        folder: _released_at(folder) for folder in (here.releases / STORED_RELEASES).glob("*") if folder.is_dir()
    }
    newest = max(released, key=lambda folder: released[folder], default=None)
    for folder, released_at in sorted(released.items()):
        if folder != newest and folder.name not in needed and released_at < now - timedelta(days=days):
            yield folder, f"released on {released_at:%Y-%m-%d}, not in service"


def _reports(here: Settings, days: int, now: datetime) -> Iterator[tuple[Path, str]]:
    """Files in folders; the reports of the newest run are files of `reports` itself and stay."""
    for file in sorted(here.reports.glob("*/**/*")):
        if file.is_relative_to(here.reports / "history"):  # has its own limit of days
            continue
        if file.is_file() and (changed := _changed_at(file)) < now - timedelta(days=days):
            yield file, f"written on {changed:%Y-%m-%d}"


def _workspace_name(release: Path) -> str:
    manifest = _read_json(release / "manifest.json")
    return f"{manifest.get('as_of')}-{manifest.get('recipe')}"


def _released_at(folder: Path) -> datetime:
    """Time of the release; an incomplete one has that of its folder."""
    text = _read_json(folder / "manifest.json").get("released_at")
    return datetime.fromisoformat(text) if text else _changed_at(folder)


def _last_live_landings(here: Settings) -> dict[str, datetime]:
    """Reader ▸ start of its last landing of the recommender's logs; other folders of the same name have a split."""
    times: dict[str, datetime] = {}
    columns = ["source", "format", "split", "landed_at"]
    for file in object_store.list_files(here.landing / "landings", "dt=*/*.parquet"):
        rows = pq.read_table(object_store.open_arrow_source(file), columns=columns, partitioning=None).to_pylist()
        for row in rows:
            if row["source"] == LIVE_SOURCE and row["split"] is None:
                times[row["format"]] = max(row["landed_at"], times.get(row["format"], row["landed_at"]))
    return times


def _last_materialized_day(here: Settings) -> date:
    """The day before which everything is in the batch part of the online store."""
    log = here.feast / "materialized.jsonl"
    for line in reversed(log.read_text(encoding="utf-8").splitlines() if log.exists() else []):
        with suppress(ValueError):  # a line that could not be written whole
            return datetime.fromtimestamp(json.loads(line)["as_of_us"] / 1e6, UTC).date()
    return date.min


def _partitions(folder: Path) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for file in object_store.list_files(folder, "dt=*/*.parquet"):
        files.setdefault(file.parent.name.removeprefix("dt="), []).append(file)
    return files


def _last_day(partition: str) -> date:
    """Last day of a partition `2026-06-30` or `2026-06`."""
    if len(partition) > len("2026-06"):
        return date.fromisoformat(partition)
    return (date.fromisoformat(f"{partition}-28") + timedelta(days=4)).replace(day=1) - timedelta(days=1)


def _changed_at(path: Path) -> datetime:
    """Newest modification time of a file, or of a folder and what it contains."""
    files = [path, *(path.rglob("*") if path.is_dir() else ())]
    return datetime.fromtimestamp(max(file.stat().st_mtime for file in files), UTC)


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content
