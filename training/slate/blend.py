"""Blending of fused score and ranker score into the order that is served.

`score = (1 - b) · fused + b · ranker`: the fused score is scaled to 0..1 over the candidates of the request, and the
ranker's task probabilities are combined into one score in 0..1 (`training.ranking.task_weights`). The weight b and the
strength of diversity are tuned on validation slates. b may be 0, since a ranker that learned only from tracks that
users chose can make a slate worse. Evaluation and serving call the same functions.

Legend: B requests, C candidates.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.ranking.task_weights import TaskWeights

BLEND_WEIGHT_GRID = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)

Floats = NDArray[np.floating]


def scale_by_max(fused_BC: Floats) -> Floats:
    """Fused (positive) scores divided by the largest of their request, so the best gets 1."""
    largest = np.max(fused_BC, axis=-1, keepdims=True, initial=0.0)
    result: Floats = np.divide(fused_BC, largest, out=np.zeros_like(fused_BC), where=largest > 0)
    return result


def blend_scores(fused_BC: Floats, probability_BC: Floats, weight: float) -> Floats:
    """Blended scores of one request [C] or of many [B, C].

    Args:
        fused_BC: Positive fused scores in any unit.
        probability_BC: Ranker scores in 0..1.
        weight: b.
    """
    result: Floats = (1 - weight) * scale_by_max(fused_BC) + weight * probability_BC
    return result


def argsort_descending(scores_BC: Floats) -> NDArray[np.int64]:
    """Candidate positions of each request, best first; ties keep their order."""
    return np.argsort(-scores_BC, axis=-1, kind="stable")


@dataclass(frozen=True)
class Blend:
    """Tuned parameters of the served order."""

    weight: float  # weight b of the ranker, 0..1
    heads: TaskWeights = field(default_factory=TaskWeights)  # how tasks combine into the ranker's score
    diversity: float = 0.0  # strength of diversity, 0..1

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ValueError(f"blend weight {self.weight} is outside [0, 1]")
        if not 0 <= self.diversity <= 1:
            raise ValueError(f"diversity {self.diversity} is outside [0, 1]")

    def save(self, path: Path) -> None:
        """Write one JSON file."""
        path.write_text(json.dumps(asdict(self)) + "\n")

    @classmethod
    def load(cls, path: Path) -> Blend:
        """Read the file that `save` wrote.

        Raises:
            ValueError: the file has other keys.
        """
        content = json.loads(path.read_text())
        if content.keys() - {"diversity"} != {"weight", "heads"}:
            raise ValueError(f"{path} has {sorted(content)}, not heads and weight; make a new release")
        return cls(content["weight"], TaskWeights(**content["heads"]), content.get("diversity", 0.0))
