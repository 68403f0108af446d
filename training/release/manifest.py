"""Manifest of a release: its inputs, its id, metrics and lineage.

The id is a hash of the inputs only (marts, recipe, models, choices), so the same inputs always give the same release.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from config import settings
from content.encoders.text import text_encoder_version
from recommender.ranking.registry import RANKERS
from recommender.recall.registry import CHANNELS
from recommender.search import SEARCH_FORMAT
from recommender.slate.ranker_blend import Blend
from releases.format import FORMAT, MissingInput
from releases.integrity import checksum_listing
from storage import mart_tables
from training.evaluate import JSON_FILE, evaluation_inputs, model_input_hashes
from training.release.gate import Verdict
from training.workspace import INPUTS_FILE, LANDINGS_MART, RESOLVED_CONFIG_FILE, Workspace, code_hash, is_unchanged

ID_LENGTH = 12  # hex digits


def release_inputs(workspace: Workspace) -> dict[str, Any]:
    """Inputs of a release, whose hash is the release id.

    Raises:
        MissingInput: The evaluation does not cover the current models, or a `final` fit is missing or differs in code or
            parameters from the evaluated one.
    """
    evaluation = workspace.folder / "evaluation"
    if not is_unchanged(evaluation, evaluation_inputs(workspace)):
        raise MissingInput(
            f"{evaluation} is not an evaluation of the current models; run `python -m training.evaluate` first"
        )
    chosen = json.loads((evaluation / "choice.json").read_text())
    held_out, final = model_input_hashes(workspace, "held_out"), model_input_hashes(workspace, "final")
    blend = Blend.load(evaluation / "blend.json")
    released = [name for name in held_out if _is_released(name, chosen["ranker"], blend)]
    for name in released:
        command = f"python -m training.train {name.replace('/', ' ')} --fit final"
        if name not in final:
            raise MissingInput(f"{name} has no final fit on the present marts; run `{command}` first")
        if not _is_refit_of_evaluated(workspace, name, held_out, final):
            raise MissingInput(
                f"the final fit of {name} differs in code or parameters from the one that was evaluated; run `{command}` first"
            )
    return {
        "as_of": workspace.as_of,
        "recipe": workspace.recipe,
        "marts": workspace.mart_hashes,
        "held_out": {name: held_out[name] for name in released},
        "final": {name: final[name] for name in released},
        "ranker": chosen["ranker"],
        "fusion": json.loads((evaluation / "fusion.json").read_text()),
        "blend": json.loads((evaluation / "blend.json").read_text()),
        "search": SEARCH_FORMAT,
        "continuation": json.loads((evaluation / "continuation.json").read_text()),
        "text_encoder": text_encoder_version(),
    }


def _is_released(name: str, ranker: str | None, blend: Blend) -> bool:
    """Whether a model (`kind/name`) is released: only the chosen ranker, only heads with a weight, all others."""
    kind, _, model = name.partition("/")
    return model == ranker if kind == "ranker" else model in blend.heads.active_tasks if kind == "head" else True


def _is_refit_of_evaluated(
    workspace: Workspace, name: str, held_out: Mapping[str, str], final: Mapping[str, str]
) -> bool:
    """Whether the `final` fit of a model (`kind/name`) has the code and parameters of its `held_out` fit.

    A copied head must come from the `held_out` fit, and a collection must use the vectors of the `final` fit of
    `realtime`.
    """
    kind, model = name.split("/")
    evaluated, refit = (workspace.model_folder(kind, fit, model) for fit in ("held_out", "final"))
    inputs = json.loads((refit / INPUTS_FILE).read_text())
    expected = {
        "code": json.loads((evaluated / INPUTS_FILE).read_text()).get("code"),
        "config": json.loads((evaluated / RESOLVED_CONFIG_FILE).read_text()),
        "held_out": held_out[name],
        "realtime": final.get("channel/realtime"),
    }
    return all(inputs[part] == value for part, value in expected.items() if part in inputs)


def release_id(inputs: dict[str, Any]) -> str:
    """The first ID_LENGTH hex digits of the SHA-256 hash of the inputs."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:ID_LENGTH]


def build(
    workspace: Workspace, inputs: dict[str, Any], verdict: Verdict, compared: str | None, reason: str | None
) -> dict[str, Any]:
    """The manifest.

    Args:
        workspace: Workspace to release.
        inputs: Its `release_inputs`.
        verdict: Verdict of the gate.
        compared: Id of the production release that the gate compared with, if any.
        reason: Why the gate was overruled; None if it was not.
    """
    channels = [name.removeprefix("channel/") for name in inputs["final"] if name.startswith("channel/")]
    ranker = inputs["ranker"]
    services = {name: CHANNELS[name].feature_service for name in channels}
    if ranker:
        services[ranker] = RANKERS[ranker].feature_service
    return {
        "format": FORMAT,
        "release": release_id(inputs),
        "as_of": workspace.as_of,
        "recipe": workspace.recipe,
        "inputs": workspace.data_version,
        "marts": workspace.mart_hashes,
        "channels": channels,
        "collections": [name.removeprefix("collection/") for name in inputs["final"] if name.startswith("collection/")],
        "ranker": ranker,
        "heads": [name.removeprefix("head/") for name in inputs["final"] if name.startswith("head/")],
        "fusion": inputs["fusion"],
        "blend": inputs["blend"],
        "feature_services": services,
        "models": {"held_out": inputs["held_out"], "final": inputs["final"]},
        "vocabulary": hashlib.sha256(checksum_listing(workspace.vocabulary_folder("final")).encode()).hexdigest(),
        "gate": asdict(verdict) | {"compared_with": compared},
        "forced": {"reason": reason} if reason else None,
        **_evaluated(workspace.folder / "evaluation" / JSON_FILE),
        "lineage": lineage(workspace, inputs["final"]),
        "revision": revision(),
        "released_at": datetime.now(UTC).isoformat(),
    }


def revision() -> str:
    """Git revision of the code, with `+changes` if files differ from it; "unknown" outside a repository."""
    words = ["git", "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+changes"]
    try:
        described = subprocess.run(words, cwd=settings.ROOT, check=True, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()


def lineage(workspace: Workspace, models: Iterable[str]) -> dict[str, Any]:
    """Origin of a release, for display: logs → marts → features → models. Not part of the release id.

    Args:
        workspace: Workspace to release.
        models: `kind/name` of its `final` models.

    Returns:
        `logs`: landings that the marts were built from, oldest first, without file names (the name of a personal export
        may identify its user). `marts_published_at` and `fitted_at` by model: ISO 8601, UTC. `feature_definitions`:
        hash of the code that defines the features. `content`: version and number of encoded tracks by encoder.
    """
    split = {model: model.split("/") for model in models}
    fits = {model: workspace.model_folder(kind, "final", name) / INPUTS_FILE for model, (kind, name) in split.items()}
    return {
        "logs": landed_logs(workspace.marts),
        "marts_published_at": max(_modified_at(file) for file in workspace.marts.glob("*.parquet")),
        "feature_definitions": code_hash(("feature_repo", "sequences")),
        "content": encoded_content(workspace.marts),
        "fitted_at": {model: _modified_at(file) for model, file in fits.items()},
    }


def landed_logs(marts: Path) -> list[dict[str, Any]]:
    """Rows of the mart of landings with times as text."""
    rows = pl.read_parquet(marts / f"{LANDINGS_MART}.parquet").sort("landed_at", "landing_id")
    return rows.with_columns(pl.col("landed_at").dt.strftime("%Y-%m-%dT%H:%M:%S+00:00")).to_dicts()


def encoded_content(marts: Path) -> dict[str, dict[str, Any]]:
    """`version` (None if no track is encoded) and number of `tracks` by encoder; empty if no content was encoded."""
    content = {}
    for encoder in mart_tables.ENCODER_NAMES:
        file = mart_tables.table_file(marts, encoder)
        if file.exists():
            row = pl.scan_parquet(file).select(version=pl.col("encoder_version").first(), tracks=pl.len()).collect()
            content[encoder] = row.row(0, named=True)
    return content


def _modified_at(file: Path) -> str:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat(timespec="seconds")


def _evaluated(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text())
    metrics = {name: content[name] for name in ("slate", "ranking", "behavior") if name in content}
    metrics |= {"recall": {"fused": content["recall"]["fused"]}}
    return {"metrics": metrics, "is_own_catalog": content.get("is_own_catalog", False)}
