"""Releases in BentoML's store: their states and their lineage.

States are read from manifests, the active pointer and the traffic split; no model is loaded. The lineage (logs, marts,
features, models, release) comes from the manifest of the release, except the names of landed files, which only the landing
zone has. Values that a manifest lacks are shown as not recorded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.settings import Settings
from console.page_parts import report_links, runs_url
from releases.pointer import DamagedPointer, NothingToRollBack, Pointer
from storage import object_store

FOLDER = "models/segue"


@dataclass(frozen=True)
class ReleaseState:
    """State of a release, such as "active since", and the ISO time that completes the text; empty if there is none."""

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
    """Complete releases of the store: the active one first, then the newest first."""
    pointer, shares = read_json(settings.releases / "active.json"), read_json(settings.releases / "shares.json")
    releases = []
    for file in (settings.releases / FOLDER).glob("*/manifest.json"):
        # The list of hashes is written last: without it the release is incomplete.
        if (file.parent / "files.sha256").exists() and (manifest := read_json(file)).get("release"):
            name = str(manifest["release"])
            releases.append(Release(name, manifest, _state(name, pointer, shares), name == pointer.get("release")))
    releases.sort(key=lambda release: str(release.manifest.get("released_at", "")), reverse=True)
    return sorted(releases, key=lambda release: not release.is_active)


def find_active(releases: Sequence[Release]) -> Release | None:
    """The active release; None before the first."""
    return next((release for release in releases if release.is_active), None)


def find_previous(releases: Sequence[Release], settings: Settings) -> Release | None:
    """The release that a rollback would activate; None if there is none."""
    try:
        name, _ = Pointer(settings.releases / "active.json").previous()
    except (NothingToRollBack, DamagedPointer):
        return None
    return next((release for release in releases if release.release_id == name), None)


def landed_source_names(settings: Settings) -> dict[str, str]:
    """Landing id → current name of its file or folder in the landing zone."""
    files = [str(file) for file in object_store.list_files(settings.landing / "landings", "dt=*/*.parquet")]
    if not files:
        return {}
    with object_store.connect_duckdb(settings.landing) as connection:
        query = "select landing_id, source from read_parquet(?) order by landed_at"
        rows = connection.execute(query, [files]).fetchall()
    return {str(landing): str(source) for landing, source in rows}


def build_lineage(release: Release, settings: Settings, source_names: Mapping[str, str]) -> dict[str, Any]:
    """Lineage of a release, as the context of the macro `lineage_steps`.

    Args:
        release: The release.
        settings: Settings whose host is the one that the client reached.
        source_names: Landing id → name of the landed file or folder.
    """
    manifest = release.manifest
    lineage, gate, forced = (manifest.get(key) or {} for key in ("lineage", "gate", "forced"))
    slate = read_json(settings.reports / "evaluation.json").get("slate")
    is_own = slate is not None and slate == manifest.get("metrics", {}).get("slate")  # the gate of this release used it
    landings = None
    if "logs" in lineage:
        landings = [{**row, "source": source_names.get(row["landing_id"], "")} for row in lineage["logs"]]
    model_links = report_links(settings, "evaluation") if is_own else []
    return {
        "landings": landings,
        "as_of": manifest.get("as_of"),
        "marts_published_at": lineage.get("marts_published_at"),
        "inputs": manifest.get("inputs"),
        "marts": sorted(manifest.get("marts", {}).items()),
        "feature_services": ", ".join(sorted(set(manifest.get("feature_services", {}).values()))),
        "feature_definitions": lineage.get("feature_definitions"),
        "content": lineage.get("content", {}),
        "recipe": manifest.get("recipe"),
        "ranker": manifest.get("ranker"),
        "vocabulary": manifest.get("vocabulary"),
        "models": _models(manifest, lineage.get("fitted_at", {})),
        "is_evaluation_of_others": slate is not None and not is_own,
        "release_id": release.release_id,
        "released_at": manifest.get("released_at"),
        "state": release.state,
        "revision": manifest.get("revision"),
        "compared_with": gate.get("compared_with"),
        "forced_reason": forced.get("reason"),
        "gate_reasons": gate.get("reasons", []),
        "links": {
            "logs": report_links(settings, "landed"),
            "marts": report_links(settings, "marts", "dbt"),
            "features": report_links(settings, "skew"),
            "models": [*model_links, {"url": runs_url(settings), "text": "MLflow"}],
            "release": [
                {"url": f"{settings.url(settings.recommender_port)}/status", "text": "status of the recommender"}
            ],
        },
    }


def _state(name: str, pointer: dict[str, Any], shares: dict[str, Any]) -> ReleaseState:
    if name == pointer.get("release"):
        return ReleaseState("active since", str(pointer["activated_at"]))
    for canary in shares.get("canaries", []):
        if canary["release"] == name:
            return ReleaseState(f"canary for {canary['share']:.1%} of the users since", str(shares["since"]))
    history = [row for row in pointer.get("history", []) if row["release"] == name]
    if history:
        last = history[-1]
        return ReleaseState("rolled back" if last["why"] == "rollback" else "replaced", str(last["left_at"]))
    return ReleaseState("in the store, never active for all users")


def read_json(file: Path) -> dict[str, Any]:
    """Content of a JSON file; empty if it is missing or malformed."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _models(manifest: Mapping[str, Any], fitted_at: Mapping[str, str]) -> list[dict[str, Any]]:
    final, held_out = (manifest.get("models", {}).get(fit, {}) for fit in ("final", "held_out"))
    return [
        {
            "name": name.replace("/", " "),
            "final": digest,
            "held_out": held_out.get(name),
            "fitted_at": fitted_at.get(name),
        }
        for name, digest in sorted(final.items())
    ]
