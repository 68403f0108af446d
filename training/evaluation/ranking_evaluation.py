"""Metrics of each ranker and task on the plays and impressions of a part: AUC, GAUC, log loss, ECE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recommender.ranking.task_weights import DEFAULT_TASK
from training.evaluation.held_out_models import TREES_ALONE, HeldOutModels
from training.evaluation.metrics import ranking_metrics
from training.evaluation.metrics.bootstrap import Estimate
from training.evaluation.result import Result
from training.ranking.labeled_cases import RankingCases, ranking_cases

RankerMetrics = tuple[dict[str, dict[str, Estimate]], NDArray[np.float32]]
"""task → metric → estimate, and the probabilities [R, T]."""


def measure_rankers(held_out: HeldOutModels, cases: RankingCases, description: str) -> dict[str, RankerMetrics]:
    """Metrics and probabilities of TREES_ALONE and each ranker; tasks without labels are omitted.

    Args:
        held_out: Models.
        cases: Cases to predict.
        description: Text of the progress bar.
    """
    metrics: dict[str, RankerMetrics] = {}
    probabilities = held_out.predict(cases, description)
    for name in sorted(probabilities, key=lambda name: name != TREES_ALONE):
        probability_RT, tasks = probabilities[name], {}
        for column, task in enumerate(held_out.tasks(name)):
            label_R = cases.labels_RT[:, cases.tasks.index(task)]
            is_labeled_R = ~np.isnan(label_R)
            if is_labeled_R.any():
                tasks[task] = ranking_metrics.measure(
                    label_R[is_labeled_R], probability_RT[is_labeled_R, column], cases.user_R[is_labeled_R]
                )
        metrics[name] = tasks, probability_RT
    return metrics


def measure_ranking(held_out: HeldOutModels, result: Result, folder: Path) -> None:
    """Measure all rankers and TREES_ALONE on the test plays and impressions, at most as many as the recipe says.

    Adds the metrics, and metrics of DEFAULT_TASK by slice, to `result`, and writes scores by play
    (`ranking_<ranker>_<task>.parquet`) to `folder`.
    """
    cases = ranking_cases(held_out.data).filter_part("test").evenly_spread(held_out.data.recipe.ranking_test_cases)
    metrics = measure_rankers(held_out, cases, "test")
    for name, (tasks, probability_RT) in metrics.items():
        result.ranking[name] = tasks
        for column, task in enumerate(held_out.tasks(name)):
            is_labeled_R = ~np.isnan(cases.labels_RT[:, cases.tasks.index(task)])
            rows = np.flatnonzero(is_labeled_R & (cases.play_number_R >= 0))
            pl.DataFrame(
                {
                    "user_id": held_out.data.user_ids_U[cases.user_R[rows]].tolist(),
                    "sequence_number": cases.play_number_R[rows],
                    "score": probability_RT[rows, column],
                }
            ).write_parquet(folder / f"ranking_{name}_{task}.parquet")
    result.notes["ranking_slices"] = _measure_slices(held_out, cases, metrics)
    result.notes.setdefault("cases", {})["test_ranking_cases"] = len(cases)


def _measure_slices(held_out: HeldOutModels, cases: RankingCases, metrics: dict[str, RankerMetrics]) -> dict[str, Any]:
    """Metrics of DEFAULT_TASK by slice; empty if the log has no labels for it."""
    if DEFAULT_TASK not in cases.tasks:
        return {}
    tasks = {name: held_out.tasks(name) for name in metrics}
    column = {name: tasks[name].index(DEFAULT_TASK) for name in metrics if DEFAULT_TASK in tasks[name]}
    probabilities = {name: metrics[name][1][:, index] for name, index in column.items()}
    label_R = cases.labels_RT[:, cases.tasks.index(DEFAULT_TASK)]
    return ranking_metrics.measure_by_slice(
        ranking_metrics.slice_masks(held_out.data, cases), label_R, probabilities, cases.user_R
    )
