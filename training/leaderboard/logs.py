"""The landed logs: recall channels, rankers and their baselines on the test part.

All models are fitted on the train part and tuned on the validation part. Legend: R cases, K candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.ablations.channel_trial import CASES_PER_USER, RECALL_DEPTH, measure_lists, select_cases
from training.ablations.grid import Cell as ModelCell
from training.ablations.grid import Grid
from training.ablations.peer_trial import labeled_cases
from training.ablations.ranker_trial import CASE_BATCH_SIZE, DEFAULT_TASK, EvaluationScope
from training.ablations.table import measure_recall
from training.data.user_batch import OfflineFeatures
from training.evaluation.metrics import ranking_metrics
from training.evaluation.metrics.bootstrap import Estimate
from training.evaluation.trees_alone import TREES_ALONE, TreesAlone
from training.leaderboard.baselines import BASELINE_CELLS, GROUPS
from training.leaderboard.dataset import Cell, CellResult, Dataset
from training.ranking.case_batches import CaseBatches
from training.ranking.cases import RankingCases, ranking_cases
from training.ranking.fit import count_item_frequencies, resolve_inputs
from training.ranking.fitted_ranker import FittedRanker
from training.ranking.registry import RANKERS
from training.recall.registry import CHANNELS

TEST = EvaluationScope(part="test")
RANKING_METRICS = ("auc", "gauc")
TREES_READER = list(RANKERS)[-1]
"""Ranker whose features and trees the baseline `trees_alone` has."""
PARTS: Mapping[str, str] = {"repeat": "track played before", "discovery": "track new to the user"}
"""Part → slice of `ranking_metrics.slice_masks`."""


@dataclass
class Logs(Dataset):
    """The landed logs in a workspace.

    Args:
        grid: Workspace, and the folder of fitted cells, which ablations share.
        changes: Changes of the configs of the recipe, by model.
    """

    grid: Grid
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def find_missing(self) -> str:
        """Nothing: without marts there is no workspace."""
        return ""

    def inputs(self, cell: Cell, seed: int) -> dict[str, Any]:
        """Marts, config and seed."""
        name = TREES_READER if cell.name == TREES_ALONE else cell.name
        has_config = name == TREES_READER or not cell.is_baseline
        config = asdict(self.model_cell(name).config(self.grid.workspace.recipe, seed)) if has_config else {}
        return self.grid.workspace.inputs(cell=cell.name, scope=asdict(TEST), config=config, seed=seed)

    def model_cell(self, name: str) -> ModelCell:
        """The cell of a model as ablations fit it."""
        return ModelCell(name, name, self.changes.get(name, {}))

    def _models(self, names: Mapping[str, Any]) -> tuple[Cell, ...]:
        recipe = self.grid.workspace.recipe
        return tuple(
            Cell(name, is_baseline=False, is_random=hasattr(model.config(recipe), "seed"))
            for name, model in names.items()
        )


class LogsRecall(Logs):
    """Recall of sessions."""

    name = "logs_recall"
    title = "Landed logs: tracks of a session"
    main_metric = "recall_at_200/all"
    protocol = (
        f"The tracks listened to in a test session, at most {CASES_PER_USER} sessions per user, over the whole catalog. "
        "Repeats: tracks that the user had played before; discoveries: all others; reachable: discoveries in the catalog. "
        "Collaborative filtering recommends tracks that the user has not played. Fused and served lists are in "
        "`evaluation.html`."
    )

    def cells(self) -> tuple[Cell, ...]:
        """Groups of baselines, and channels."""
        return BASELINE_CELLS + self._models(CHANNELS)

    def measure(self, cell: Cell, seed: int, folder: Path) -> CellResult:
        """Lists of RECALL_DEPTH tracks."""
        del folder  # the grid has one of its own
        if not cell.is_baseline:
            result = self.grid.result(self.model_cell(cell.name), seed, TEST)
            return CellResult({cell.name: result.predictions}, _fit_seconds(result.measures))
        data = self.grid.offline.data
        cases = select_cases(data, TEST.part)
        lists = GROUPS[cell.name](data, RECALL_DEPTH).recall(cases, RECALL_DEPTH)
        return CellResult({name: measure_lists(items_CK, cases) for name, items_CK in lists.items()}, {})

    def estimates(self, table: pl.DataFrame) -> dict[str, Estimate]:
        """Recall and NDCG by part of the targets."""
        return measure_recall(table)


class LogsRanking(Logs):
    """Prediction of skips."""

    name = "logs_ranking"
    title = "Landed logs: is a play heard for 30 seconds?"
    main_metric = "gauc/all"
    protocol = (
        "All test plays, task `not_skipped`. AUC over all plays, GAUC by user, weighted by plays; repeats are plays of "
        f"tracks that the user had played before. `{TREES_ALONE}`: boosted trees on all dense features, without a network. "
        "LightGBM on 26 features, DIN and DIEN of torch-rechub are in `make ablation ABLATION=ranking_peers`."
    )

    def cells(self) -> tuple[Cell, ...]:
        """Trees, and rankers."""
        return Cell(TREES_ALONE, is_baseline=True, is_random=True), *self._models(RANKERS)

    def measure(self, cell: Cell, seed: int, folder: Path) -> CellResult:
        """Probabilities of the labeled cases."""
        del folder  # the grid has one of its own
        offline = self.grid.offline
        cases = labeled_cases(ranking_cases(offline.data).filter_part(TEST.part))
        if cell.is_baseline:
            probability_R, measures = self._predict_trees(offline, cases, seed), {}
        else:
            result = self.grid.result(self.model_cell(cell.name), seed, TEST)
            rows = result.predictions.filter(pl.col("task") == DEFAULT_TASK)
            probability_R, measures = rows["probability"].to_numpy(), _fit_seconds(result.measures)
        masks = ranking_metrics.slice_masks(offline.data, cases)
        columns = {
            "user": cases.user_R,
            "label": cases.labels_RT[:, cases.tasks.index(DEFAULT_TASK)],
            "probability": probability_R,
            **{part: masks[slice_name] for part, slice_name in PARTS.items()},
        }
        return CellResult({cell.name: pl.DataFrame(columns)}, measures)

    def _predict_trees(self, offline: OfflineFeatures, cases: RankingCases, seed: int) -> NDArray[np.float32]:
        """Probabilities [R] of trees on the features of the last ranker, which has most of them."""
        reader = TREES_READER
        every = ranking_cases(offline.data)
        config = self.model_cell(reader).config(self.grid.workspace.recipe, seed)
        contract = offline.contract(RANKERS[reader].feature_service)
        config, features = resolve_inputs(reader, offline.data, config, every, contract)
        frequencies = count_item_frequencies(every.filter_part("train"), offline.data)
        unfitted = FittedRanker(RANKERS[reader](config, frequencies, every.tasks), features, config, {})
        trees = TreesAlone.fit(offline, {reader: unfitted}, tasks=(DEFAULT_TASK,))
        if trees is None or DEFAULT_TASK not in trees.tasks:
            raise ValueError(f"no train case has a label of {DEFAULT_TASK}; land a log with plays and skips")
        batches = CaseBatches(cases, offline, unfitted.feature_service, replace(features, trees=None))
        parts = [trees.predict(batch)[:, 0] for batch in batches.iterate_in_order(CASE_BATCH_SIZE)]
        return np.concatenate([np.zeros(0, np.float32), *parts])

    def estimates(self, table: pl.DataFrame) -> dict[str, Estimate]:
        """AUC and GAUC of all plays, of repeats and of discoveries."""
        estimates: dict[str, Estimate] = {}
        for part in ("all", *PARTS):
            rows = table if part == "all" else table.filter(pl.col(part))
            if rows.is_empty():
                continue
            metrics = ranking_metrics.measure(*(rows[name].to_numpy() for name in ("label", "probability", "user")))
            estimates |= {f"{name}/{part}": metrics[name] for name in RANKING_METRICS}
        return estimates


def _fit_seconds(measures: Mapping[str, Any]) -> dict[str, float]:
    """Duration of a fit that the grid may have done earlier; none if it was not measured."""
    seconds = float(measures["seconds"])
    return {"seconds": seconds} if np.isfinite(seconds) else {}
