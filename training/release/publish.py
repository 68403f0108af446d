"""Release a workspace: id, gate, model store, pointer.

If the process is killed before the pointer is written, production is unchanged, and the next run reuses complete parts.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import polars as pl

from releases import bundle, model_store
from releases.deployment import activate_new, open_pointer
from releases.pointer import MANIFEST, Pointer
from storage.files import atomic_write
from training.evaluate import HTML_FILE, JSON_FILE, publish_reports
from training.evaluation.baselines.tuned import HEURISTIC_BASELINES
from training.evaluation.report.page import render_page
from training.release.gate import SECTION, Verdict, judge, judge_behavior, read_behavior
from training.release.manifest import build, release_id, release_inputs
from training.release.write import write
from training.workspace import Workspace


@dataclass(frozen=True)
class Outcome:
    """Outcome of releasing a workspace."""

    status: str  # unchanged, released, forced or refused
    release: str  # id
    lines: tuple[str, ...]  # reasons


def release(workspace: Workspace, reason: str | None = None) -> Outcome:
    """Release the final models of a workspace if the gate passes.

    The outcome is "unchanged" for the inputs of the active release, or of a release that was rolled back
    unless there is a `reason`.

    Args:
        workspace: Workspace with a current evaluation.
        reason: Why to overrule the gate; None to obey it.

    Raises:
        MissingInput: An earlier task has not run.
    """
    inputs, active = release_inputs(workspace), open_pointer()
    identity = release_id(inputs)
    if active.active == identity and active.path is not None and model_store.find_version(identity) == active.path:
        return Outcome("unchanged", identity, (f"{identity} is active and was built from the same inputs",))
    if active.was_rolled_back(identity) and reason is None:
        remedy = f"{identity} was rolled back; {active.active} stays active. To activate {identity} again, add --force --reason"
        return Outcome("unchanged", identity, (remedy,))
    verdict = judge_workspace(workspace, active)
    report_verdict(workspace, verdict, active, reason)
    if not verdict.is_passed and reason is None:
        return Outcome("refused", identity, verdict.reasons)
    manifest = build(workspace, inputs, verdict, active.active, reason)
    with tempfile.TemporaryDirectory(prefix="segue-release-") as folder:
        write(workspace, manifest, Path(folder))
        path = model_store.publish(Path(folder), identity, {"as_of": workspace.as_of, "recipe": workspace.recipe})
    activate_new(identity, path)
    return Outcome("forced" if reason else "released", identity, verdict.reasons)


def report_verdict(workspace: Workspace, verdict: Verdict, active: Pointer, reason: str | None) -> None:
    """Render the evaluation report again, with the decision of the gate."""
    folder = workspace.folder / "evaluation"
    gate = asdict(verdict) | {"forced": reason or "", "previous": active.active or ""}
    content = json.loads((folder / JSON_FILE).read_text())
    atomic_write(folder / HTML_FILE, render_page(content, gate))
    publish_reports(folder)


def judge_workspace(workspace: Workspace, active: Pointer) -> Verdict:
    """The gate's verdict on the workspace: its held-out slate against the heuristic baselines and production, and the
    behavior of its models against the floors.
    """
    slate = pl.read_parquet(workspace.folder / "evaluation" / bundle.SLATE)
    by_name = {str(name): rows for (name,), rows in slate.group_by("name")}
    baselines = {name: by_name[name] for name in HEURISTIC_BASELINES if name in by_name}
    production = None
    if active.path is not None:
        production = pl.read_parquet(active.path / bundle.SLATE).filter(pl.col("name") == "served")
    own, without_reactions = (by_name.get(name, slate.clear()) for name in ("served", "served_without_reactions"))
    verdict = judge(own, baselines, production, without_reactions)
    before = json.loads((active.path / MANIFEST).read_text())["metrics"].get(SECTION) if active.path else None
    is_passed, reasons = judge_behavior(read_behavior(workspace, release_id(release_inputs(workspace))), before)
    return replace(verdict, is_passed=verdict.is_passed and is_passed, reasons=(*verdict.reasons, *reasons))
