"""Search for the weights that combine a ranker's heads into one score, per scene, on the validation part.

The objective of a scene is the mean GAUC of its labels, weighted by the importance of each task in the scene; the best
weights of a grid are chosen. Scenes with too few cases use the weights of all scenes.
Legend: R cases, T tasks, U users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.ranking.task_weights import ANY_SCENE, DEFAULT_TASK, TaskWeights, WeightByTask, combine_log_odds
from recommender.slate.scene_settings import LIST_TASK_IMPORTANCE, SCENES
from training.evaluation.metrics.ranking_metrics import auc_per_group

TASK_IMPORTANCE: Mapping[str, Mapping[str, float]] = {
    ANY_SCENE: LIST_TASK_IMPORTANCE,
    **{scene.name: scene.task_importance for scene in SCENES.values()},
}
"""Scene → importance of each task in it; `ANY_SCENE` for scenes that the service does not serve."""
GRID_STEPS = 4
MIN_CASES, MIN_CASES_PER_CLASS = 2_000, 50  # of a scene; of a label

Floats = NDArray[np.floating]


def fit_task_weights(
    probability_RT: Floats, labels_RT: Floats, tasks: Sequence[str], user_R: NDArray[np.int64], scene_R: NDArray[Any]
) -> tuple[TaskWeights, dict[str, Any]]:
    """Fit the weights of all scenes together and of each scene with at least MIN_CASES cases.

    Labels with fewer than MIN_CASES_PER_CLASS cases of a class are ignored; if none is left, the score is the first
    task.

    Args:
        probability_RT: Probabilities of the ranker.
        labels_RT: 0, 1 or NaN.
        tasks: Names of the T tasks.
        user_R: User of each case.
        scene_R: Scene of each case, "" if unknown.

    Returns:
        The weights, and by scene: number of cases, importance of the tasks, chosen weights, and the GAUC of every label
        for the combined score and for each head alone.
    """
    fitted: dict[str, WeightByTask] = {}
    table: dict[str, Any] = {}
    for scene in (ANY_SCENE, *sorted({str(name) for name in scene_R.tolist() if name})):
        rows = np.arange(len(scene_R)) if scene == ANY_SCENE else np.flatnonzero(scene_R == scene)
        if scene != ANY_SCENE and len(rows) < MIN_CASES:
            continue
        importance = TASK_IMPORTANCE.get(scene, TASK_IMPORTANCE[ANY_SCENE])
        objective = {
            task: importance[task]
            for task in tasks
            if importance.get(task) and _has_both_classes(labels_RT[rows, tasks.index(task)])
        }
        first = DEFAULT_TASK if DEFAULT_TASK in tasks else tasks[0]
        if not objective:
            fitted[scene] = {first: 1.0}
            continue
        probabilities = {task: probability_RT[rows, column] for column, task in enumerate(tasks)}
        labels = {task: labels_RT[rows, tasks.index(task)] for task in objective}
        candidates = [
            (weights, gauc_by_task(combine_log_odds(probabilities, weights), labels, user_R[rows]))
            for weights in weight_grid(tasks, first)
        ]
        best, _ = max(
            candidates,
            key=lambda candidate: round(sum(objective[task] * value for task, value in candidate[1].items()), 6),
        )
        fitted[scene] = best
        single_heads = [({task: 1.0}, task) for task in tasks]
        table[scene] = {
            "cases": len(rows),
            "wants": objective,
            "weights": best,
            "gauc": {
                name: next(values for weights, values in candidates if weights == selected)
                for selected, name in (*single_heads, (best, "combined"))
            },
        }
    return TaskWeights(fitted), table


def weight_grid(tasks: Sequence[str], first: str) -> list[dict[str, float]]:
    """All weights in steps of 1/GRID_STEPS, starting with `first` alone; ties are resolved in favor of earlier ones."""
    ordered = [first, *(task for task in tasks if task != first)]
    shares = [parts for parts in product(range(GRID_STEPS, -1, -1), repeat=len(ordered)) if sum(parts) == GRID_STEPS]
    return [{task: part / GRID_STEPS for task, part in zip(ordered, parts, strict=True) if part} for parts in shares]


def gauc_by_task(score_R: Floats, labels: Mapping[str, Floats], user_R: NDArray[np.int64]) -> dict[str, float]:
    """GAUC of each label: the AUC within each user, weighted by the user's labeled cases; 0.5 if it is undefined."""
    gauc = {}
    for task, label_R in labels.items():
        is_labeled_R = ~np.isnan(label_R)
        users, user = np.unique(user_R[is_labeled_R], return_inverse=True)
        label, score = (values_R[is_labeled_R].astype(np.float64) for values_R in (label_R, score_R))
        area_U = auc_per_group(label, score, user, len(users))
        has_U = ~np.isnan(area_U)
        count_U = np.bincount(user, minlength=len(users))
        gauc[task] = float(np.average(area_U[has_U], weights=count_U[has_U])) if has_U.any() else 0.5
    return gauc


def _has_both_classes(label_R: Floats) -> bool:
    return bool(min((label_R == 0).sum(), (label_R == 1).sum()) >= MIN_CASES_PER_CLASS)
