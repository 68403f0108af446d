"""Ablations: grids of cells with different hyperparameters, each fitted once and measured.

The part is validation, or that of the ablation's `EvaluationScope`: of `session_impressions` it is test.

The result of a cell is cached in a folder named by the hash of its model, config and data, so that a finished cell is
shared by all ablations; a killed cell resumes from its last checkpoint. The code is not part of the name, so that long
ablations survive edits: its hash is stored with the result, and the report names cells computed by other code.
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
from training.ablations.peer_trial import PEERS
from training.ablations.ranker_trial import DEFAULT_SCOPE, EvaluationScope
from training.data.training_data import TrainingData
from training.data.user_batch import OfflineFeatures
from training.engine.config_io import change_config, with_seed
from training.engine.import_closure import code_hash
from training.engine.workspace import Workspace, is_unchanged, mark_done, write_json
from training.ranking.registry import RANKERS
from training.recall.registry import CHANNELS
from training.recipes import recipe
from training.train import producer_modules

ModelKind = Literal["channel", "ranker"]
PREDICTIONS, MEASURES = "validation.parquet", "measures.json"


@dataclass(frozen=True)
class Cell:
    """One model of an ablation."""

    name: str
    model: str  # channel, ranker, or ranker of another library (PEERS)
    changes: Mapping[str, Any]  # changed fields of the recipe's config

    def config(self, recipe: str, seed: int) -> Any:
        """Config to fit."""
        if self.model in PEERS:
            return PEERS[self.model](**self.changes, seed=seed)
        return with_seed(change_config((CHANNELS | RANKERS)[self.model].config(recipe), self.changes), seed)

    @property
    def kind(self) -> ModelKind:
        """Kind of its results; PEERS are rankers."""
        return "channel" if self.model in CHANNELS else "ranker"

    @property
    def code(self) -> tuple[str, ...]:
        """Modules that fit and measure it."""
        fits = () if self.model in PEERS else producer_modules(self.kind, self.model)
        return (*fits, self.measure.__module__)

    @property
    def measure(self) -> Any:
        """Function that fits it and measures it on the cases of the scope."""
        if self.model in PEERS:
            return peer_trial.measure
        return channel_trial.measure if self.kind == "channel" else ranker_trial.measure


@dataclass(frozen=True)
class Ablation:
    """A question and the cells that answer it, either all channels or all rankers."""

    name: str
    question: str
    cells: tuple[Cell, ...]
    pairs: tuple[tuple[str, str], ...]  # cells whose difference (first − second) is reported
    scope: EvaluationScope = DEFAULT_SCOPE  # of rankers

    @property
    def kind(self) -> ModelKind:
        """Kind of its cells."""
        return self.cells[0].kind

    def subset(self, names: Sequence[str]) -> Ablation:
        """The same ablation with some cells only, and the pairs among them.

        Raises:
            ValueError: A name is unknown.
        """
        available = [cell.name for cell in self.cells]
        if unknown := [name for name in names if name not in available]:
            raise ValueError(f"cells {unknown} are unknown; choose from {', '.join(available)}")
        cells = tuple(cell for cell in self.cells if cell.name in names)
        return replace(self, cells=cells, pairs=tuple(pair for pair in self.pairs if set(pair) <= set(names)))


@dataclass(frozen=True)
class CellResult:
    """Result of a cell."""

    predictions: pl.DataFrame  # rows per case; `user` and columns that depend on the kind
    measures: dict[str, Any]  # of the fit: seconds, steps, parameters, ...


class Grid:
    """Cached cells of one workspace below `folder`; the data are only read if a cell has to be computed."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self.workspace, self.folder = workspace, folder

    @cached_property
    def offline(self) -> OfflineFeatures:
        """Offline features of the `held_out` fit."""
        data = TrainingData(
            self.workspace.marts,
            "held_out",
            recipe(self.workspace.recipe),
            cache_folder=self.workspace.cache_folder("held_out"),
        )
        return OfflineFeatures(data)

    def result(self, cell: Cell, seed: int, scope: EvaluationScope = DEFAULT_SCOPE) -> CellResult:
        """Result of a cell, from the cache or computed."""
        config = cell.config(self.workspace.recipe, seed)
        key: dict[str, Any] = {cell.kind: cell.model, "config": config}
        inputs = self.workspace.inputs(**key | ({} if scope == DEFAULT_SCOPE else asdict(scope)))
        folder = self.folder / f"{cell.model}-{inputs['hash'][:16]}"
        if not is_unchanged(folder, inputs):
            self._compute(cell, config, folder, scope)
            mark_done(folder, inputs)
        return CellResult(pl.read_parquet(folder / PREDICTIONS), json.loads((folder / MEASURES).read_text()))

    def _compute(self, cell: Cell, config: Any, folder: Path, scope: EvaluationScope) -> None:
        code = code_hash(*cell.code)
        arguments = () if scope == DEFAULT_SCOPE else (scope,)
        checkpoints = folder / "checkpoints" / code
        rows, resolved, measures = cell.measure(cell.model, self.offline, config, checkpoints, *arguments)
        folder.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(folder / PREDICTIONS)
        write_json(folder / MEASURES, {**measures, "code": code, "resolved_config": asdict(resolved)})
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
