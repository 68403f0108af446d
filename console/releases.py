"""Releases in BentoML's store and their states, read from manifests, the active pointer and the traffic split.

Does not load any model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.settings import Settings
from storage import object_store

FOLDER = "models/segue"


@dataclass(frozen=True)
class ReleaseState:
    """State of a release, such as "in service since", and the ISO time that completes the text; empty if there is none."""

    text: str
    since: str = ""


@dataclass(frozen=True)
class Release:
    """One release of the store."""

    release_id: str
    manifest: dict[str, Any]
    state: ReleaseState
    is_active: bool = False


def list_releases(settings: Settings) -> list[Release]:
    """Complete releases of the store: the one in service first, then the newest first."""
    pointer, shares = _read_json(settings.releases / "active.json"), _read_json(settings.releases / "shares.json")
    releases = []
    for file in (settings.releases / FOLDER).glob("*/manifest.json"):
        # The list of hashes is written last: without it the release is incomplete.
        if (file.parent / "files.sha256").exists() and (manifest := _read_json(file)).get("release"):
            name = str(manifest["release"])
            releases.append(Release(name, manifest, _state(name, pointer, shares), name == pointer.get("release")))
    releases.sort(key=lambda release: str(release.manifest.get("released_at", "")), reverse=True)
    return sorted(releases, key=lambda release: not release.is_active)


def landed_source_names(settings: Settings) -> dict[str, str]:
    """Landing id → current name of its file or folder in the landing zone."""
    files = [str(file) for file in object_store.list_files(settings.landing / "landings", "dt=*/*.parquet")]
    if not files:
        return {}
    with object_store.connect_duckdb(settings.landing) as connection:
        query = "select landing_id, source from read_parquet(?) order by landed_at"
        rows = connection.execute(query, [files]).fetchall()
    return {str(landing): str(source) for landing, source in rows}


def _state(name: str, pointer: dict[str, Any], shares: dict[str, Any]) -> ReleaseState:
    if name == pointer.get("release"):
        return ReleaseState("in service since", str(pointer["activated_at"]))
    for canary in shares.get("beside", []):
        if canary["release"] == name:
            return ReleaseState(f"canary for {canary['share']:.0%} of the users since", str(shares["since"]))
    history = [row for row in pointer.get("history", []) if row["release"] == name]
    if history:
        last = history[-1]
        return ReleaseState("rolled back" if last["why"] == "rollback" else "replaced", str(last["left_at"]))
    return ReleaseState("in the store, never in service for all users")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
