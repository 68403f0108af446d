"""The releases in BentoML's store and what each does now, read from its files: manifests, the pointer, the shares.

Knows nothing about how a release is made, and opens none of its models.
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
class Release:
    """One release: what it says of itself, and what it does: `state` is "in service", a share, or when it left."""

    release_id: str
    manifest: dict[str, Any]
    state: str
    is_active: bool = False


def list_releases(settings: Settings) -> list[Release]:
    """Every whole release of the store, the one in service first, then the newest."""
    pointer, shares = _read_json(settings.releases / "active.json"), _read_json(settings.releases / "shares.json")
    found = []
    for file in (settings.releases / FOLDER).glob("*/manifest.json"):
        # The list of hashes is written last: without it the release is half there.
        if (file.parent / "files.sha256").exists() and (manifest := _read_json(file)).get("release"):
            name = str(manifest["release"])
            found.append(Release(name, manifest, _state(name, pointer, shares), name == pointer.get("release")))
    found.sort(key=lambda one: str(one.manifest.get("released_at", "")), reverse=True)
    return sorted(found, key=lambda one: not one.is_active)


def landed_source_names(settings: Settings) -> dict[str, str]:
    """Hash of a landed source → the name of its file or folder, as the landing zone has it now."""
    files = [str(file) for file in object_store.list_files(settings.landing / "landings", "dt=*/*.parquet")]
    if not files:
        return {}
    with object_store.connect_duckdb(settings.landing) as connection:
        query = "select landing_id, source from read_parquet(?) order by landed_at"
        rows = connection.execute(query, [files]).fetchall()
    return {str(landing): str(source) for landing, source in rows}


def _state(name: str, pointer: dict[str, Any], shares: dict[str, Any]) -> str:
    if name == pointer.get("release"):
        return f"in service since {pointer['activated_at']}"
    for beside in shares.get("beside", []):
        if beside["release"] == name:
            return f"beside it for {beside['share']:.0%} of the users since {shares['since']}"
    left = [row for row in pointer.get("history", []) if row["release"] == name]
    if left:
        return f"{'rolled back' if left[-1]['why'] == 'rollback' else 'replaced'} {left[-1]['left_at']}"
    return "in the store, never in service for everybody"


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
