"""The heads of a ranker as one score: what a listener will do, weighed by what the scene wants.

`score = σ(Σ w_t · logit P_t)`, w ≥ 0 with sum 1: a product of powers of the heads' odds. A head alone is its own probability.
The slate evaluation and the service call the same function. How weights are chosen: `evaluation/head_weights.py`. Knows
nothing about rankers or HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

ANY_SCENE = ""
DEFAULT_TASK = "not_skipped"
LISTWISE_HEAD = "listened"
"""The head that learns from whole requests (`ranking/listened.py`); the others learn from single cases."""
PROBABILITY_EPSILON = 1e-6

Floats = NDArray[np.floating]
WeightByTask = Mapping[str, float]


class NoTrainingExamples(ValueError):
    """The log holds nothing that a head could learn; the line goes on without it."""


@dataclass(frozen=True)
class TaskWeights:
    """Weights by scene, then by task; those of ANY_SCENE are for every scene that has none.

    Raises:
        ValueError: a weight is negative, a scene has none above zero, or ANY_SCENE is missing.
    """

    weights: Mapping[str, WeightByTask] = field(default_factory=lambda: {ANY_SCENE: {DEFAULT_TASK: 1.0}})

    def __post_init__(self) -> None:
        if ANY_SCENE not in self.weights:
            raise ValueError(
                f"heads have weights for {sorted(self.weights)} only; add those of all scenes ({ANY_SCENE!r})"
            )
        for scene, weights in self.weights.items():
            if min(weights.values(), default=0) < 0 or sum(weights.values()) <= 0:
                raise ValueError(
                    f"weights {dict(weights)} of scene {scene!r} must not be negative, and one must be above 0"
                )

    def for_scene(self, scene: str) -> WeightByTask:
        """Of one scene."""
        return self.weights.get(scene, self.weights[ANY_SCENE])

    def with_listwise_share(self, share: float) -> TaskWeights:
        """The same with `share`, 0..1, of every scene's weight for the head LISTENED."""

        def shared(weights: WeightByTask) -> WeightByTask:
            left = (1 - share) / sum(weights.values())
            kept = {task: weight * left for task, weight in weights.items() if weight * left}
            return kept | ({LISTWISE_HEAD: share} if share else {})

        return TaskWeights({scene: shared(weights) for scene, weights in self.weights.items()})

    @property
    def active_tasks(self) -> set[str]:
        """The heads that have a weight in some scene."""
        return {task for weights in self.weights.values() for task, weight in weights.items() if weight > 0}

    def score(self, probability: Mapping[str, Floats], scene: str) -> Floats:
        """0..1 for every candidate of one scene, whatever the shape.

        Raises:
            KeyError: a head that has a weight gave no probability.
        """
        return combine_log_odds(probability, self.for_scene(scene))


def combine_log_odds(probability: Mapping[str, Floats], weights: WeightByTask) -> Floats:
    """The formula."""
    used = {task: weight for task, weight in weights.items() if weight > 0}
    if missing := used.keys() - probability.keys():
        raise KeyError(f"the ranker has no head {', '.join(sorted(missing))}; evaluate it again to fit the weights")
    if len(used) == 1:
        return probability[next(iter(used))]
    total = sum(used.values())
    logit = sum(weight / total * _logit(probability[task]) for task, weight in used.items())
    result: Floats = 1 / (1 + np.exp(-np.asarray(logit)))
    return result


def _logit(probability: Floats) -> Floats:
    kept = np.clip(np.asarray(probability, dtype=np.float64), PROBABILITY_EPSILON, 1 - PROBABILITY_EPSILON)
    result: Floats = np.log(kept) - np.log1p(-kept)
    return result
