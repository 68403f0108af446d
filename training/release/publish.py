"""From a workspace to the release in service: id, gate, model store, pointer.

A kill anywhere before the pointer is written leaves production as it was; the next run finds what is whole and goes on.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from training.engine.workspace import Workspace
from training.evaluation.baselines.heuristics import HEURISTIC_BASELINES
from training.release import bundle, model_store
from training.release.deployment import canary, open_pointer
from training.release.gate import Verdict, judge
from training.release.manifest import build, release_id, release_inputs
from training.release.pointer import Pointer


@dataclass(frozen=True)
class Outcome:
    """`status` is `unchanged`, `released`, `forced` or `refused`; `lines` say why."""

    status: str
    release: str
    lines: tuple[str, ...]


def release(workspace: Workspace, reason: str | None = None, share: float | None = None) -> Outcome:
    """Release the workspace's final models if the gate lets them pass, or if there is a `reason` to overrule it: for
    everybody, or beside the release in service for a `share` of the users.

    The same inputs as the release in service are "unchanged". So are those of a release that was rolled back: only a
    reason brings it back.

    Raises:
        MissingInput: an earlier task has not run.
        SharesRejected: the share cannot be given.
    """
    inputs, active = release_inputs(workspace), open_pointer()
    identity = release_id(inputs)
    if active.active == identity and active.path is not None and model_store.find_version(identity) == active.path:
        return Outcome("unchanged", identity, (f"{identity} is in service and made from the same inputs",))
    if active.was_rolled_back(identity) and reason is None:
        remedy = f"{identity} was rolled back; {active.active} stays. Bring it back with --force --reason"
        return Outcome("unchanged", identity, (remedy,))
    verdict = judge_workspace(workspace, active)
    if not verdict.is_passed and reason is None:
        return Outcome("refused", identity, verdict.reasons)
    manifest = build(workspace, inputs, verdict, active.active, reason)
    with tempfile.TemporaryDirectory(prefix="segue-release-") as folder:
        bundle.write(workspace, manifest, Path(folder))
        path = model_store.publish(Path(folder), identity, {"as_of": workspace.as_of, "recipe": workspace.recipe})
    lines = verdict.reasons
    if share is None:
        active.activate(identity, path)
    else:
        lines = (*lines, *canary(identity, share))
    return Outcome("forced" if reason else "released", identity, lines)


def judge_workspace(workspace: Workspace, active: Pointer) -> Verdict:
    """The gate's verdict on the workspace's held-out slate, against the memories and the release in service."""
    slate = pl.read_parquet(workspace.folder / "evaluation" / bundle.SLATE)
    by_name = {str(name): rows for (name,), rows in slate.group_by("name")}
    known = {name: by_name[name] for name in HEURISTIC_BASELINES if name in by_name}
    production = active.path / bundle.SLATE if active.path else None
    theirs = None
    if production is not None and production.exists():
        theirs = pl.read_parquet(production).filter(pl.col("name") == "served")
    return judge(by_name.get("served", slate.clear()), known, theirs)
