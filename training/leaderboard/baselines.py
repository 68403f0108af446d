"""All baselines for recall cases, tuned on the validation part of the same data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.evaluation.baselines import heuristics
from training.evaluation.baselines.tuned import Baselines
from training.evaluation.baselines.tuned_heuristics import TunedHeuristics
from training.leaderboard.dataset import Cell

TUNING_DEPTH = 200  # length of the lists that baselines are tuned with

Lists = dict[str, NDArray[np.int64]]


class Group(Protocol):
    """Baselines that are fitted together. Legend: C cases, K candidates."""

    def on(self, data: TrainingData) -> Self:
        """The same parameters, fitted on the train part of other data."""

    def recall(self, cases: RecallCases, k: int) -> Lists:
        """Lists [C, K] of each baseline, best first, padded with 0."""


@dataclass(frozen=True)
class Heuristics:
    """Heuristics without parameters."""

    data: TrainingData

    def on(self, data: TrainingData) -> Heuristics:
        """The heuristics on other data."""
        return replace(self, data=data)

    def recall(self, cases: RecallCases, k: int) -> Lists:
        """Lists [C, K] of each heuristic, best first, padded with 0."""
        return heuristics.recall(self.data, cases, k)


GROUPS: Mapping[str, Callable[[TrainingData, int], Group]] = {
    "heuristics": lambda data, _: Heuristics(data),
    "tuned_heuristics": lambda data, _: TunedHeuristics.tune(data, TUNING_DEPTH),
    "collaborative_filtering": lambda data, cutoff: Baselines.tune(data, TUNING_DEPTH, cutoff),
}
"""Function of data and of the cutoff of recall, which tunes the baselines of a group.

The objective of tuned heuristics has cutoffs of its own: they recommend items of the history, which are removed from
their lists if they are no candidates.
"""

BASELINE_CELLS = tuple(Cell(name, is_baseline=True, is_random=False) for name in GROUPS)
