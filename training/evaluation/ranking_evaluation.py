"""How well each ranker tells apart what was listened to: every task, on every play and impression of a part.

Knows nothing about recall.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.evaluation.held_out_models import HeldOutModels
from training.evaluation.metrics import ranking_metrics
from training.evaluation.metrics.bootstrap import Estimate
from training.evaluation.metrics.ranking_slices import measure_by_slice, slice_masks
from training.evaluation.result import Result
from training.ranking.cases import RankingCases, ranking_cases
from training.ranking.task_weights import DEFAULT_TASK, TaskWeights

RankerMetrics = tuple[dict[str, dict[str, Estimate]], NDArray[np.float32]]


def measure_rankers(held_out: HeldOutModels, cases: RankingCases, what: str) -> dict[str, RankerMetrics]:
    """For each ranker: task → metric → estimate, and its probabilities [R, T]."""
    found: dict[str, RankerMetrics] = {}
    for name, probability_RT in held_out.predict(cases, what).items():
        tasks = {}
        for column, task in enumerate(held_out.rankers[name].tasks):
            label_R = cases.labels_RT[:, cases.tasks.index(task)]
            known = ~np.isnan(label_R)
            if known.any():
                tasks[task] = ranking_metrics.measure(
                    label_R[known], probability_RT[known, column], cases.user_R[known]
                )
        found[name] = tasks, probability_RT
    return found


def measure_ranking(
    held_out: HeldOutModels, served: str | None, heads: TaskWeights, result: Result, folder: Path
) -> None:
    """Every ranker and task on every test play and impression; the first task by slice; the heads of the `served` ranker as one."""
    cases = ranking_cases(held_out.data).filter_part("test")
    curves: dict[str, dict[str, list[tuple[float, float, int]]]] = {}
    figures = measure_rankers(held_out, cases, "test")
    for name, (tasks, probability_RT) in figures.items():
        result.ranking[name] = tasks
        curves[name] = {}
        for column, task in enumerate(held_out.rankers[name].tasks):
            label_R = cases.labels_RT[:, cases.tasks.index(task)]
            known = ~np.isnan(label_R)
            curves[name][task] = ranking_metrics.calibration_curve(label_R[known], probability_RT[known, column])
            rows = np.flatnonzero(known & (cases.play_number_R >= 0))
            pl.DataFrame(
                {
                    "user_id": held_out.data.user_ids_U[cases.user_R[rows]].tolist(),
                    "sequence_number": cases.play_number_R[rows],
                    "score": probability_RT[rows, column],
                }
            ).write_parquet(folder / f"ranking_{name}_{task}.parquet")
    result.notes["calibration"] = curves
    result.notes["ranking_slices"] = _measure_slices(held_out, cases, figures)
    result.notes["heads"] = {}
    if served:
        result.notes["heads"] = _combined_score_gauc(heads, cases, held_out.rankers[served].tasks, figures[served][1])
    result.notes.setdefault("cases", {})["test_ranking_cases"] = len(cases)


def _measure_slices(held_out: HeldOutModels, cases: RankingCases, figures: dict[str, RankerMetrics]) -> dict[str, Any]:
    """Of the task that every ranker is chosen by."""
    if DEFAULT_TASK not in cases.tasks:
        return {}
    column = {
        name: ranker.tasks.index(DEFAULT_TASK)
        for name, ranker in held_out.rankers.items()
        if DEFAULT_TASK in ranker.tasks
    }
    said = {name: figures[name][1][:, place] for name, place in column.items()}
    label_R = cases.labels_RT[:, cases.tasks.index(DEFAULT_TASK)]
    return measure_by_slice(slice_masks(held_out.data, cases), label_R, said, cases.user_R)


def _combined_score_gauc(
    heads: TaskWeights, cases: RankingCases, tasks: tuple[str, ...], probability_RT: NDArray[np.float32]
) -> dict[str, Any]:
    """For each label, the GAUC of its own head and of the heads as one score, and the paired difference."""
    said = {task: probability_RT[:, column] for column, task in enumerate(tasks)}
    one_R = np.zeros(len(cases))
    for scene in set(cases.scene_R.tolist()):
        rows = np.flatnonzero(cases.scene_R == scene)
        one_R[rows] = heads.score({task: probability_R[rows] for task, probability_R in said.items()}, scene)
    content = {}
    for task in tasks:
        label_R = cases.labels_RT[:, cases.tasks.index(task)].astype(np.float64)
        known = ~np.isnan(label_R)
        users, user = np.unique(cases.user_R[known], return_inverse=True)
        own, one = (
            ranking_metrics.gauc(label_R[known], score_R[known].astype(np.float64), user, len(users))
            for score_R in (said[task], one_R)
        )
        content[task] = {
            "own_head": own.interval(),
            "combined": one.interval(),
            "difference": (one - own).interval(),
        }
    return content
