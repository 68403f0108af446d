"""A study: cells that differ in what is asked about, each fitted once and measured on validation.

A cell's result lies in a folder named by the hash of its ranker, config and data, so a finished cell is never computed
again, in whichever study it stands; one that was killed goes on from its last checkpoint. The code is not part of the
name: a study of hours must outlive an edit. Its hash is kept beside the result, and the report tells of any difference.

Legend: N validation cases. Knows nothing about how results are shown.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import torch
from tqdm import tqdm

from training.data import TrainingData
from training.features import OfflineFeatures
from training.ranking import RANKERS
from training.ranking.case_batches import CaseBatches
from training.ranking.cases import ranking_cases
from training.ranking.fit import fit_ranker, logits_of
from training.ranking.ranker import RankerConfig
from training.recipes import recipe
from training.workspace import SOURCES, Workspace, code_hash, is_unchanged, mark_done, write_json

TASK = "not_skipped"
PREDICTIONS, MEASURES = "validation.parquet", "measures.json"
CASES_AT_ONCE = 2048
CODE = (*SOURCES, Path(__file__).parents[1] / "ranking")


@dataclass(frozen=True)
class Cell:
    """One ranker, and what of its recipe's config is changed."""

    name: str
    ranker: str
    changes: Mapping[str, Any]

    def config(self, recipe: str, seed: int) -> RankerConfig:
        """The config to fit with."""
        return replace(RANKERS[self.ranker].config(recipe), **self.changes, seed=seed)


@dataclass(frozen=True)
class Study:
    """A question, the cells that answer it, and which of them are subtracted (first − second)."""

    name: str
    question: str
    cells: tuple[Cell, ...]
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CellResult:
    """Labels and probabilities of the validation cases (columns user, label, probability) and what the fit told."""

    predictions: pl.DataFrame
    measures: dict[str, Any]


class Grid:
    """The cells of one workspace, kept below `folder`; its data are read when a cell has to be computed."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self.workspace, self.folder = workspace, folder

    @cached_property
    def offline(self) -> OfflineFeatures:
        """Features of the part that was held out from training, and of the training part."""
        return OfflineFeatures(TrainingData(self.workspace.marts, "held_out", recipe(self.workspace.recipe)))

    def result(self, cell: Cell, seed: int) -> CellResult:
        """The result of a cell: read, or computed and kept."""
        config = cell.config(self.workspace.recipe, seed)
        inputs = self.workspace.inputs(ranker=cell.ranker, config=config)
        folder = self.folder / f"{cell.ranker}-{inputs['hash'][:16]}"
        if not is_unchanged(folder, inputs):
            self._compute(cell, config, folder)
            mark_done(folder, inputs)
        return CellResult(pl.read_parquet(folder / PREDICTIONS), json.loads((folder / MEASURES).read_text()))

    def _compute(self, cell: Cell, config: RankerConfig, folder: Path) -> None:
        code = code_hash(*CODE)
        ranker = fit_ranker(cell.ranker, self.offline.data, config, folder / "checkpoints" / code, self.offline)
        cases = ranking_cases(self.offline.data).of_part("validation")
        batches = CaseBatches(cases, self.offline, ranker.feature_service, ranker.features)
        steps = -(-len(batches) // CASES_AT_ONCE)
        bar = tqdm(batches.in_order(CASES_AT_ONCE), total=steps, desc=f"validate {cell.name}", mininterval=1)
        logits_NT, labels_NT = logits_of(ranker.model, bar)
        probability_NT = torch.sigmoid(logits_NT / torch.tensor(ranker.settled.temperatures))
        task = ranker.tasks.index(TASK)
        rows = pl.DataFrame(
            {"user": cases.user_R, "label": labels_NT[:, task].numpy(), "probability": probability_NT[:, task].numpy()}
        )
        rows.filter(pl.col("label").is_not_nan()).write_parquet(folder / PREDICTIONS)
        parameters = sum(parameter.numel() for parameter in ranker.model.parameters())
        kept = {key: ranker.measures[key] for key in ("seconds", "steps", "cases")}
        write_json(
            folder / MEASURES, {**kept, "parameters": parameters, "code": code, "settled": asdict(ranker.settled)}
        )
        shutil.rmtree(folder / "checkpoints")
