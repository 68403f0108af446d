"""Task weights: combines the task probabilities of a ranker to one score, with weights by scene.

`score = σ(Σ w_t · logit P_t)`, w ≥ 0 with sum 1: the weighted geometric mean of the tasks' odds. A single task keeps
its probability. Slate evaluation and serving call the same function; `evaluation/task_weight_search.py` fits the
weights. Does not depend on rankers or HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from recommender.array_types import AnyFloats

ANY_SCENE = ""
DEFAULT_TASK = "not_skipped"
LISTWISE_HEAD = "listened"
"""Task of the listwise head, which is fitted on whole requests; the other tasks are fitted on single cases."""
PROBABILITY_EPSILON = 1e-6

WeightByTask = Mapping[str, float]


class NoTrainingExamples(ValueError):
    """The log has no training examples for a head; the pipeline continues without it."""


@dataclass(frozen=True)
class TaskWeights:
    """Weights by scene, then by task, not negative and one above 0; ANY_SCENE is the default of scenes without weights."""

    weights: Mapping[str, WeightByTask] = field(default_factory=lambda: {ANY_SCENE: {DEFAULT_TASK: 1.0}})

    def for_scene(self, scene: str) -> WeightByTask:
        """Return the weights of a scene."""
        return self.weights.get(scene, self.weights[ANY_SCENE])

    def with_listwise_share(self, share: float) -> TaskWeights:
        """Return weights in which LISTWISE_HEAD has `share` (0..1) of each scene's total."""

        def add_share(weights: WeightByTask) -> WeightByTask:
            scale = (1 - share) / sum(weights.values())
            scaled = {task: weight * scale for task, weight in weights.items() if weight * scale}
            return scaled | ({LISTWISE_HEAD: share} if share else {})

        return TaskWeights({scene: add_share(weights) for scene, weights in self.weights.items()})

    @property
    def active_tasks(self) -> set[str]:
        """Tasks with a weight above 0 in any scene."""
        return {task for weights in self.weights.values() for task, weight in weights.items() if weight > 0}

    def score(self, probability: Mapping[str, AnyFloats], scene: str) -> AnyFloats:
        """Return the score, 0..1, of candidates of one scene, in the shape of the probabilities.

        Raises:
            KeyError: A task with a weight has no probability.
        """
        return combine_log_odds(probability, self.for_scene(scene))


def combine_log_odds(probability: Mapping[str, AnyFloats], weights: WeightByTask) -> AnyFloats:
    """Return σ(Σ w_t · logit P_t) with weights normalized to sum 1.

    Raises:
        KeyError: A task with a weight has no probability.
    """
    positive = {task: weight for task, weight in weights.items() if weight > 0}
    if missing := positive.keys() - probability.keys():
        raise KeyError(f"the ranker has no task {', '.join(sorted(missing))}; evaluate it again to fit the weights")
    if len(positive) == 1:
        return probability[next(iter(positive))]
    total = sum(positive.values())
    logit = sum(weight / total * _logit(probability[task]) for task, weight in positive.items())
    return 1 / (1 + np.exp(-np.asarray(logit)))


def _logit(probability: AnyFloats) -> AnyFloats:
    clipped = np.clip(np.asarray(probability, dtype=np.float64), PROBABILITY_EPSILON, 1 - PROBABILITY_EPSILON)
    return np.log(clipped) - np.log1p(-clipped)
