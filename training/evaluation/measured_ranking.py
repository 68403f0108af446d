"""How well each ranker tells apart what was listened to: every task, on every play and impression of a part.

Knows nothing about recall.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.evaluation import ranking_metrics
from training.evaluation.bootstrap import Estimate
from training.evaluation.held_out import HeldOut
from training.evaluation.result import Result
from training.ranking.cases import RankingCases, ranking_cases

Figures = tuple[dict[str, dict[str, Estimate]], NDArray[np.float32]]


def rank_figures(held_out: HeldOut, cases: RankingCases, what: str) -> dict[str, Figures]:
    """For each ranker: task → metric → estimate, and its probabilities [R, T]."""
    found: dict[str, Figures] = {}
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


def measure_ranking(held_out: HeldOut, result: Result, folder: Path) -> None:
    """Every ranker and task on every test play and impression."""
    cases = ranking_cases(held_out.data).of_part("test")
    curves: dict[str, dict[str, list[tuple[float, float, int]]]] = {}
    for name, (tasks, probability_RT) in rank_figures(held_out, cases, "test").items():
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
    result.notes.setdefault("cases", {})["test_ranking_cases"] = len(cases)
