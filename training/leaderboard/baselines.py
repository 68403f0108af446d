"""Lists of all baselines for recall cases, tuned on the validation part of the same data."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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


def _heuristics(data: TrainingData, cases: RecallCases, k: int) -> Lists:
    return heuristics.recall(data, cases, k)


def _tuned_heuristics(data: TrainingData, cases: RecallCases, k: int) -> Lists:
    return TunedHeuristics.tune(data, TUNING_DEPTH).recall(cases, k)


def _collaborative_filtering(data: TrainingData, cases: RecallCases, k: int) -> Lists:
    return Baselines.tune(data, TUNING_DEPTH).recall(cases, k)


GROUPS: Mapping[str, Callable[[TrainingData, RecallCases, int], Lists]] = {
    "heuristics": _heuristics,
    "tuned_heuristics": _tuned_heuristics,
    "collaborative_filtering": _collaborative_filtering,
}
"""Baselines that are fitted together: function of data, cases and length, which returns lists [C, K] by name."""

BASELINE_CELLS = tuple(Cell(name, is_baseline=True, is_random=False) for name in GROUPS)
