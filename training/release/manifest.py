"""What a release is made of, exactly, and the id that follows from it.

The id is a hash of inputs alone (marts, recipe, models, choices), so the same inputs give the same release whenever
and wherever they are released. Knows nothing about whether the release is good.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config import settings
from training.engine.workspace import MissingInput, Workspace, is_unchanged
from training.evaluate import JSON_FILE, evaluation_inputs, model_input_hashes
from training.ranking import RANKERS
from training.recall import CHANNELS
from training.release.gate import Verdict
from training.release.lineage import lineage
from training.slate.blend import Blend
from training.train import MEASURES_FILE

ID_LENGTH = 12


def release_inputs(workspace: Workspace) -> dict[str, Any]:
    """Everything the release id is the hash of.

    Raises:
        MissingInput: there is no evaluation of the workspace's present models, or a `final` fit is missing.
    """
    evaluation = workspace.folder / "evaluation"
    if not is_unchanged(evaluation, evaluation_inputs(workspace)):
        raise MissingInput(
            f"{evaluation} does not measure the models that are there now; run `python -m training.evaluate` first"
        )
    chosen = json.loads((evaluation / "choice.json").read_text())
    held_out, final = model_input_hashes(workspace, "held_out"), model_input_hashes(workspace, "final")
    blend = Blend.load(evaluation / "blend.json")
    needed = [name for name in held_out if _is_released(name, chosen["ranker"], blend)]
    for name in needed:
        if name not in final:
            raise MissingInput(
                f"{name} has no final fit; run `python -m training.train {name.replace('/', ' ')} --fit final` first"
            )
    return {
        "as_of": workspace.as_of,
        "recipe": workspace.recipe,
        "marts": workspace.mart_hashes,
        "held_out": {name: held_out[name] for name in needed},
        "final": {name: final[name] for name in needed},
        "ranker": chosen["ranker"],
        "fusion": json.loads((evaluation / "fusion.json").read_text()),
        "blend": json.loads((evaluation / "blend.json").read_text()),
    }


def _is_released(name: str, ranker: str | None, blend: Blend) -> bool:
    """Of rankers only the one that was chosen is released, of heads beside it those that have a weight."""
    kind, _, model = name.partition("/")
    return model == ranker if kind == "ranker" else model in blend.heads.active_tasks if kind == "head" else True


def release_id(inputs: dict[str, Any]) -> str:
    """The first 12 hex digits of the hash of the inputs."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:ID_LENGTH]


def build(
    workspace: Workspace, inputs: dict[str, Any], verdict: Verdict, compared: str | None, reason: str | None
) -> dict[str, Any]:
    """The manifest, with its `lineage`. `compared` is the release the gate held it against; `reason` is why the gate was overruled, None
    if it was not.
    """
    channels = [name.removeprefix("channel/") for name in inputs["final"] if name.startswith("channel/")]
    ranker = inputs["ranker"]
    services = {name: CHANNELS[name].feature_service for name in channels}
    if ranker:
        services[ranker] = RANKERS[ranker].feature_service
    return {
        "release": release_id(inputs),
        "as_of": workspace.as_of,
        "recipe": workspace.recipe,
        "inputs": hashlib.sha256(json.dumps(workspace.mart_hashes, sort_keys=True).encode()).hexdigest(),
        "marts": workspace.mart_hashes,
        "channels": channels,
        "containers": [name.removeprefix("container/") for name in inputs["final"] if name.startswith("container/")],
        "ranker": ranker,
        "heads": [name.removeprefix("head/") for name in inputs["final"] if name.startswith("head/")],
        "fusion": inputs["fusion"],
        "blend": inputs["blend"],
        "feature_services": services,
        "models": {"held_out": inputs["held_out"], "final": inputs["final"]},
        "vocabulary": _hash(workspace.vocabulary_folder("final")),
        "index": _indexes(workspace, channels),
        "gate": asdict(verdict) | {"compared_with": compared},
        "forced": {"reason": reason} if reason else None,
        "metrics": _metrics(workspace.folder / "evaluation" / JSON_FILE),
        "lineage": lineage(workspace, inputs["final"]),
        "revision": revision(),
        "released_at": datetime.now(UTC).isoformat(),
    }


def revision() -> str:
    """The git revision of the code, with `+changes` when files differ from it; "unknown" outside a repository."""
    try:
        head = _git("rev-parse", "HEAD")
        return head + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(settings.ROOT), *arguments], check=True, capture_output=True, text=True, timeout=30
    )
    return done.stdout.strip()


def _hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _indexes(workspace: Workspace, channels: list[str]) -> dict[str, Any]:
    """What is known of the index of each channel that has one: its kind, and what it finds of what is there."""
    measures = {
        name: json.loads((workspace.channel_folder("final", name) / MEASURES_FILE).read_text()) for name in channels
    }
    return {name: measured["index"] for name, measured in measures.items() if "index" in measured}


def _metrics(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text())
    return {name: content[name] for name in ("slate", "ranking")} | {"recall": {"fused": content["recall"]["fused"]}}
