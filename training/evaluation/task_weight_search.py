"""The weights with which a ranker's heads become one score, chosen on validation by what each scene wants.

They are those of a grid whose score orders the cases best: the mean, weighted by the scene's WANTS, of the GAUC of every
label that is wanted and known. A scene with too few cases takes the weights of all scenes.

Legend: R cases, T tasks, U users. Knows nothing about rankers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics.ranking_metrics import auc_per_group
from training.ranking.task_weights import ANY_SCENE, DEFAULT_TASK, TaskWeights, WeightByTask, combine_log_odds
from training.slate.scenes import LIST_TASK_IMPORTANCE, SCENES

TASK_IMPORTANCE: Mapping[str, Mapping[str, float]] = {
    ANY_SCENE: LIST_TASK_IMPORTANCE,
    **{scene.name: scene.task_importance for scene in SCENES.values()},
}
"""Scene → importance of each task in it; `ANY_SCENE` for scenes that the service does not serve."""
GRID_STEPS = 4
MIN_CASES, MIN_CASES_PER_CLASS = 2_000, 50

Floats = NDArray[np.floating]


def fit_task_weights(
    probability_RT: Floats, labels_RT: Floats, tasks: Sequence[str], user_R: NDArray[np.int64], scene_R: NDArray[Any]
) -> tuple[TaskWeights, dict[str, Any]]:
    """The weights of all scenes and of each scene with LEAST_CASES cases, and what they were chosen from.

    The table has a row a scene: its cases, what it wants, and for the chosen weights and each head alone the GAUC of every
    label that is wanted. A label that has not LEAST_OF_A_CLASS of both classes decides nothing; without any that
    does, the first task alone is the score.
    """
    fitted: dict[str, WeightByTask] = {}
    table: dict[str, Any] = {}
    for scene in (ANY_SCENE, *sorted({str(name) for name in scene_R.tolist() if name})):
        rows = np.arange(len(scene_R)) if scene == ANY_SCENE else np.flatnonzero(scene_R == scene)
        if scene != ANY_SCENE and len(rows) < MIN_CASES:
            continue
        wants = TASK_IMPORTANCE.get(scene, TASK_IMPORTANCE[ANY_SCENE])
        wanted = {
            task: wants[task]
            for task in tasks
            if wants.get(task) and _has_both_classes(labels_RT[rows, tasks.index(task)])
        }
        first = DEFAULT_TASK if DEFAULT_TASK in tasks else tasks[0]
        if not wanted:
            fitted[scene] = {first: 1.0}
            continue
        said = {task: probability_RT[rows, column] for column, task in enumerate(tasks)}
        labels = {task: labels_RT[rows, tasks.index(task)] for task in wanted}
        tried = [
            (weights, gauc_by_task(combine_log_odds(said, weights), labels, user_R[rows]))
            for weights in weight_grid(tasks, first)
        ]
        best, _ = max(tried, key=lambda one: round(sum(wanted[task] * value for task, value in one[1].items()), 6))
        fitted[scene] = best
        alone = [({task: 1.0}, task) for task in tasks]
        table[scene] = {
            "cases": len(rows),
            "wants": wanted,
            "weights": best,
            "gauc": {
                name: next(values for weights, values in tried if weights == of)
                for of, name in (*alone, (best, "combined"))
            },
        }
    return TaskWeights(fitted), table


def weight_grid(tasks: Sequence[str], first: str) -> list[dict[str, float]]:
    """All weights in steps of 1/PARTS, `first` alone at the beginning: of equals the earlier one is chosen."""
    ordered = [first, *(task for task in tasks if task != first)]
    shares = [parts for parts in product(range(GRID_STEPS, -1, -1), repeat=len(ordered)) if sum(parts) == GRID_STEPS]
    return [{task: part / GRID_STEPS for task, part in zip(ordered, parts, strict=True) if part} for parts in shares]


def gauc_by_task(score_R: Floats, labels: Mapping[str, Floats], user_R: NDArray[np.int64]) -> dict[str, float]:
    """GAUC of each label: the AUC within each user, weighted by the user's known cases."""
    found = {}
    for task, label_R in labels.items():
        known = ~np.isnan(label_R)
        users, user = np.unique(user_R[known], return_inverse=True)
        area_U = auc_per_group(label_R[known].astype(np.float64), score_R[known].astype(np.float64), user, len(users))
        has_U = ~np.isnan(area_U)
        count_U = np.bincount(user, minlength=len(users))
        found[task] = float(np.average(area_U[has_U], weights=count_U[has_U])) if has_U.any() else 0.5
    return found


def _has_both_classes(label_R: Floats) -> bool:
    return bool(min((label_R == 0).sum(), (label_R == 1).sum()) >= MIN_CASES_PER_CLASS)
