"""The served order: how much the ranker may move the fused order, and how much diversity may.

`score = (1 - b) · fused + b · heads`, the fused score scaled to 0..1 over the candidates of the request, the ranker's heads
made one score of 0..1 (`heads.py`). b and the strength of diversity (`selection.py`) are chosen on the validation slate. b
may be 0: a ranker that learned only from tracks that somebody chose can make a slate worse. The slate evaluation and the
service call the same functions, so what is evaluated is what is served. Legend: B requests, C candidates. Knows nothing
about channels or HTTP.
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
    """Fused scores over the largest of their request; fused scores are positive, so the order stays and the best gets
    1.
    """
    largest = np.max(fused_BC, axis=-1, keepdims=True, initial=0.0)
    result: Floats = np.divide(fused_BC, largest, out=np.zeros_like(fused_BC), where=largest > 0)
    return result


def blend_scores(fused_BC: Floats, probability_BC: Floats, weight: float) -> Floats:
    """Score of every candidate of one request [C] or of many [B, C]; `fused_BC` may come in any positive unit."""
    result: Floats = (1 - weight) * scale_by_max(fused_BC) + weight * probability_BC
    return result


def argsort_descending(scores_BC: Floats) -> NDArray[np.int64]:
    """Places best first within each request; equal scores keep the order they came in."""
    return np.argsort(-scores_BC, axis=-1, kind="stable")


@dataclass(frozen=True)
class Blend:
    """b in 0..1, how the ranker's heads become what is blended in, and the strength of diversity in 0..1."""

    weight: float
    heads: TaskWeights = field(default_factory=TaskWeights)
    diversity: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ValueError(f"blend weight {self.weight} is outside [0, 1]")
        if not 0 <= self.diversity <= 1:
            raise ValueError(f"diversity {self.diversity} is outside [0, 1]")

    def save(self, path: Path) -> None:
        """Write one small JSON file."""
        path.write_text(json.dumps(asdict(self)) + "\n")

    @classmethod
    def load(cls, path: Path) -> Blend:
        """What `save` wrote.

        Raises:
            ValueError: the file has another shape.
        """
        content = json.loads(path.read_text())
        if content.keys() - {"diversity"} != {"weight", "heads"}:
            raise ValueError(f"{path} has {sorted(content)}, not heads and weight; make a new release")
        return cls(content["weight"], TaskWeights(**content["heads"]), content.get("diversity", 0.0))
