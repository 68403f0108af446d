"""A study: cells that differ in what is asked about, each fitted once and measured on validation.

A cell's result lies in a folder named by the hash of its model, config and data, so a finished cell is never computed
again, in whichever study it stands; one that was killed goes on from its last checkpoint. The code is not part of the
name: a study of hours must outlive an edit. Its hash is kept beside the result, and the report tells of any difference.

Knows nothing about how a model is fitted and measured (`measured_ranker`, `measured_channel`), nor how results are
shown.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl

from training.ablations import channel_trial, peer_trial, ranker_trial
from training.ablations.evaluation_scope import DEFAULT_SCOPE, EvaluationScope
from training.ablations.peer_trial import PEERS
from training.data.training_data import TrainingData
from training.data.user_batch import OfflineFeatures
from training.engine.config_io import change_config
from training.engine.import_closure import code_hash
from training.engine.workspace import Workspace, is_unchanged, mark_done, write_json
from training.ranking import RANKERS
from training.recall import CHANNELS
from training.recipes import recipe
from training.train import producer_modules

ModelKind = Literal["channel", "ranker"]
PREDICTIONS, MEASURES = "validation.parquet", "measures.json"


@dataclass(frozen=True)
class Cell:
    """One channel or ranker, and what of its recipe's config is changed; of PEERS' own where it is somebody else's."""

    name: str
    model: str
    changes: Mapping[str, Any]

    def config(self, recipe: str, seed: int) -> Any:
        """The config to fit with."""
        if self.model in PEERS:
            return PEERS[self.model](**self.changes, seed=seed)
        return change_config((CHANNELS | RANKERS)[self.model].config(recipe), {**self.changes, "seed": seed})

    @property
    def kind(self) -> ModelKind:
        """What its results are; somebody else's ranker is a ranker too."""
        return "channel" if self.model in CHANNELS else "ranker"

    @property
    def code(self) -> tuple[str, ...]:
        """The modules that fit and measure it."""
        fits = () if self.model in PEERS else producer_modules(self.kind, self.model)
        return (*fits, self.measure.__module__)

    @property
    def measure(self) -> Any:
        """What fits it and asks it about the validation cases."""
        if self.model in PEERS:
            return peer_trial.measure
        return channel_trial.measure if self.kind == "channel" else ranker_trial.measure


@dataclass(frozen=True)
class Ablation:
    """A question, the cells that answer it, all channels or all rankers, and which of them are subtracted (first −
    second). `asked`: what rankers are asked about.
    """

    name: str
    question: str
    cells: tuple[Cell, ...]
    pairs: tuple[tuple[str, str], ...]
    scope: EvaluationScope = DEFAULT_SCOPE

    @property
    def kind(self) -> ModelKind:
        """What its cells are."""
        return self.cells[0].kind

    @property
    def code(self) -> tuple[str, ...]:
        """The modules that fit and measure its cells."""
        return tuple(dict.fromkeys(module for cell in self.cells for module in cell.code))

    def subset(self, names: Sequence[str]) -> Ablation:
        """The same question of some cells alone, and the pairs among them.

        Raises:
            ValueError: there is no such cell.
        """
        known = [cell.name for cell in self.cells]
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"cells {unknown} are unknown; choose from {', '.join(known)}")
        cells = tuple(cell for cell in self.cells if cell.name in names)
        return replace(self, cells=cells, pairs=tuple(pair for pair in self.pairs if set(pair) <= set(names)))


@dataclass(frozen=True)
class CellResult:
    """What a cell gave for each validation case (the columns are the kind's own; `user` is one) and what the fit told."""

    predictions: pl.DataFrame
    measures: dict[str, Any]


class Grid:
    """The cells of one workspace, kept below `folder`; its data are read when a cell has to be computed."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self.workspace, self.folder = workspace, folder

    @cached_property
    def offline(self) -> OfflineFeatures:
        """Features of the part that was held out from training, and of the training part."""
        data = TrainingData(
            self.workspace.marts,
            "held_out",
            recipe(self.workspace.recipe),
            cache_folder=self.workspace.cache_folder("held_out"),
        )
        return OfflineFeatures(data)

    def result(self, cell: Cell, seed: int, asked: EvaluationScope = DEFAULT_SCOPE) -> CellResult:
        """The result of a cell: read, or computed and kept."""
        config = cell.config(self.workspace.recipe, seed)
        named: dict[str, Any] = {cell.kind: cell.model, "config": config}
        inputs = self.workspace.inputs(**named | ({} if asked == DEFAULT_SCOPE else asdict(asked)))
        folder = self.folder / f"{cell.model}-{inputs['hash'][:16]}"
        if not is_unchanged(folder, inputs):
            self._compute(cell, config, folder, asked)
            mark_done(folder, inputs)
        return CellResult(pl.read_parquet(folder / PREDICTIONS), json.loads((folder / MEASURES).read_text()))

    def _compute(self, cell: Cell, config: Any, folder: Path, asked: EvaluationScope) -> None:
        code = code_hash(*cell.code)
        told = () if asked == DEFAULT_SCOPE else (asked,)
        rows, settled, measures = cell.measure(cell.model, self.offline, config, folder / "checkpoints" / code, *told)
        folder.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(folder / PREDICTIONS)
        write_json(folder / MEASURES, {**measures, "code": code, "settled": asdict(settled)})
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
