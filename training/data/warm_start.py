"""Warm start: a fit that continues the weights of an earlier one for a fraction of the steps.

A `held_out` fit continues the `held_out` fit of the newest earlier day, whose `train` part is contained in its own, so that
validation and test stay unseen; the weights of a release were fitted on all data and must not be evaluated. `refit` and
`final` continue the warm `held_out` fit of their own day. A fit is cold if the setting is off (`SEGUE_WARM_START_DAYS`), if the
last cold fit is that many days old, and if code, config, the table of behaviors or the time split do not allow it or a track
has left the catalog.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.data.vocabulary import Vocabulary
from training.engine.time_split import read_time_split
from training.engine.workspace import INPUTS_FILE, Workspace, behaviours_hash, is_of_same_data, write_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RECORD_FILE = "warm_start.json"
WARM_STEPS_SHARE = 0.3
"""Steps of a warm fit as a share of those of a cold one."""


@dataclass(frozen=True)
class WarmStart:
    """The fitted model that a fit continues."""

    folder: Path  # files of the model
    vocabulary: Vocabulary  # its codes
    input_hash: str  # of all of its inputs
    cold_as_of: str  # day of the cold fit from which it descends


@dataclass(frozen=True)
class FitRecord:
    """What a later fit must know of a fit, besides its inputs."""

    cold_as_of: str  # day of the cold fit from which it descends
    time_split: dict[str, str]  # as `describe_time_split` returns it

    @classmethod
    def read(cls, folder: Path) -> FitRecord | None:
        """The record of a finished fit; None if there is none, or if an earlier version wrote it."""
        path = folder / RECORD_FILE
        if not path.exists() or not (folder / INPUTS_FILE).exists():
            return None
        record = json.loads(path.read_text())
        return cls(**record) if record.keys() == {field.name for field in fields(cls)} else None

    def write(self, folder: Path) -> None:
        """Write the record beside the model."""
        write_json(folder / RECORD_FILE, asdict(self))


def find_warm_start(
    workspace: Workspace, kind: str, name: str, fit: str, config: DataclassInstance, code: str, max_days: int
) -> WarmStart | None:
    """The fit to continue; None if the fit must be cold.

    Args:
        workspace: The workspace of the fit.
        kind: Kind of the model.
        name: Name of the model.
        fit: Name of the fit.
        config: Config of a `held_out` fit of the model.
        code: Hash of the code of the fit.
        max_days: Number of days after which a fit is cold again; 0: always.
    """
    if not max_days:
        return None
    source = workspace if fit != "held_out" else _previous_workspace(workspace, kind, name)
    folder = source.model_folder(kind, "held_out", name) if source else None
    record = FitRecord.read(folder) if folder else None
    if source is None or folder is None or record is None:
        return None
    if fit != "held_out" and record.cold_as_of == workspace.as_of:
        return None  # the fit on the train part was cold, so its number of steps is that of a cold fit
    inputs = json.loads((folder / INPUTS_FILE).read_text())
    if inputs["code"] != code or (fit == "held_out" and inputs["config"] != _as_json(config)):
        return None
    if inputs.get("behaviours") != behaviours_hash():
        return None  # its codes of behaviors may have another meaning
    if not is_of_same_data(source.folder, inputs):
        return None  # fitted before the vocabulary was written again, so its codes are unknown
    if (date.fromisoformat(workspace.as_of) - date.fromisoformat(record.cold_as_of)).days >= max_days:
        return None
    if fit == "held_out" and not _is_contained(record.time_split, describe_time_split(workspace.marts)):
        return None
    try:
        before = Vocabulary.load(source.vocabulary_folder("held_out"))
        now = Vocabulary.load(workspace.vocabulary_folder(fit))
    except FileNotFoundError:
        return None
    if before.track_code.keys() - now.track_code.keys():
        return None
    return WarmStart(folder, before, inputs["hash"], record.cold_as_of)


def warm_steps(steps: int) -> int:
    """Number of steps of a warm fit instead of those of a cold one."""
    return math.ceil(steps * WARM_STEPS_SHARE)


def describe_time_split(marts: Path) -> dict[str, str]:
    """The columns of the mart `time_split` as texts; empty without the mart."""
    return {name: str(value) for name, value in read_time_split(marts).items()}


def _is_contained(before: dict[str, str], now: dict[str, str]) -> bool:
    """Whether the earlier train part is contained in the present one. Splits by user time are not compared."""
    splits = {time_split.get("split") for time_split in (before, now)}
    return splits == {"global_time"} and before["validation_from"] <= now["validation_from"]


def _previous_workspace(workspace: Workspace, kind: str, name: str) -> Workspace | None:
    """The workspace of the newest earlier day with the same recipe and a fit of the model."""
    days = sorted(folder.name[:10] for folder in workspace.folder.parent.glob(f"????-??-??-{workspace.recipe}"))
    for day in reversed([day for day in days if day < workspace.as_of]):
        folder = workspace.folder.parent / f"{day}-{workspace.recipe}"
        earlier = Workspace(folder, workspace.marts, day, workspace.recipe)
        if (earlier.model_folder(kind, "held_out", name) / INPUTS_FILE).exists():
            return earlier
    return None


def _as_json(config: DataclassInstance) -> Any:
    return json.loads(json.dumps(asdict(config), default=str))
