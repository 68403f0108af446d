"""Heuristic baselines tuned on the validation part: base-level activation, TIFU-KNN, UP-CF and DecayPop.

Parameters are tuned one after the other, in the order of the grid, with the best values so far for the others. The
objective is recall@50 + recall@200 of all targets; ties go to the config that was tried first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from training.data.recall_cases import RecallCases, recall_table
from training.data.training_data import TrainingData
from training.engine.parallel_map import parallel_map
from training.evaluation.baselines.base_level_activation import BaseLevelActivationConfig
from training.evaluation.baselines.decay_pop import DecayPopConfig
from training.evaluation.baselines.listen_matrix import ListenMatrix
from training.evaluation.baselines.next_basket import TifuKnnConfig, UpCfConfig
from training.evaluation.baselines.tuned import VALIDATION_CASES_PER_USER, Stage, describe_config, tune_in_stages
from training.evaluation.baselines.user_plays import Ints, TrainSessions, UserCases, iterate_user_batches

DECAY_POP = "decay_pop"
MAX_CASES = 1_000  # validation cases; bounds the time of tuning for any number of users
OBJECTIVE = ("recall_at_50/all", "recall_at_200/all")


GRIDS: Mapping[str, tuple[Any, Sequence[Stage]]] = {
    "tuned_base_level_activation": (
        BaseLevelActivationConfig(),
        [{"decay": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)}, {"skip": (0.0, 0.1, 0.2, 0.4)}],
    ),
    "tifu_knn": (
        TifuKnnConfig(),
        [
            {"group_decay": (0.6, 0.7, 0.8, 0.9, 0.95)},
            {"group_sessions": (3, 7, 20, 50)},
            {"within_decay": (0.8, 0.9, 0.95, 1.0)},
            {"group_decay": (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)},
            {"alpha": (0.5, 0.9, 0.99)},
            {"neighbors": (10, 300)},
        ],
    ),
    "up_cf": (
        UpCfConfig(),
        [
            {"recency": (10, 25, 50, 100, 200)},
            {"locality": (1, 3, 10, 30)},
            {"alpha": (0.0, 0.25, 0.5, 0.75, 1.0)},
        ],
    ),
    DECAY_POP: (DecayPopConfig(30), [{"half_life_days": (1, 3, 7, 30, 90, 365, float("inf"))}]),
}
"""First config of each baseline, and the stages of its grid, as in `tuned.BASELINES`."""


@dataclass(frozen=True)
class TunedHeuristics:
    """Tuned heuristic baselines."""

    data: TrainingData
    sessions: TrainSessions
    configs: Mapping[str, Any]  # chosen parameters of each baseline
    table: Mapping[str, Mapping[Any, Mapping[str, float]]]  # baseline → parameters → metric → value
    cases: int  # validation cases used for tuning

    @classmethod
    def tune(cls, data: TrainingData, k: int) -> TunedHeuristics:
        """Choose the parameters on a sample of the validation cases, with lists of length `k`."""
        sessions = TrainSessions.from_data(data, ListenMatrix.from_data(data))
        validation = data.recall_cases("validation")
        per_user = validation.number_per_user(VALIDATION_CASES_PER_USER)
        cases = validation.sample(per_user, data.recipe.seed, MAX_CASES)

        def evaluate(configs: Sequence[Any]) -> list[dict[str, float]]:
            lists = recall(data, sessions, configs, cases, k, "tune heuristics")
            return [recall_table(lists[config], cases) for config in configs]

        chosen, table = tune_in_stages(GRIDS, evaluate, objective)
        return cls(data, sessions, chosen, table, len(cases))

    def on(self, data: TrainingData) -> TunedHeuristics:
        """The same parameters, fitted on the train part of other data."""
        return replace(self, data=data, sessions=TrainSessions.from_data(data, ListenMatrix.from_data(data)))

    def recall(self, cases: RecallCases, k: int) -> dict[str, Ints]:
        """Lists [C, K] of each baseline, best first, padded with 0."""
        lists = recall(self.data, self.sessions, list(self.configs.values()), cases, k, "tuned heuristics")
        return {name: lists[config] for name, config in self.configs.items()}

    def notes(self) -> dict[str, Any]:
        """Chosen parameters and the metrics of all tried ones, as JSON values."""
        return {
            name: {
                "chosen": describe_config(config),
                "by": " + ".join(OBJECTIVE),
                "cases": self.cases,
                "table": {describe_config(member): dict(metrics) for member, metrics in self.table[name].items()},
            }
            for name, config in self.configs.items()
        }


def recall(
    data: TrainingData,
    sessions: TrainSessions,
    configs: Sequence[Any],
    cases: RecallCases,
    k: int,
    description: str = "heuristics",
) -> dict[Any, Ints]:
    """Lists [C, K] of each config, best first, padded with 0; `description` is the text of the progress bar."""
    lists: dict[Any, Ints] = {config: np.zeros((len(cases), k), dtype=np.int64) for config in configs}
    for config in configs:
        if isinstance(config, DecayPopConfig):
            lists[config] = config.recall(data, cases, k)
    fitted = {config: config.fit(sessions) for config in configs if not isinstance(config, DecayPopConfig)}

    def recall_batch(rows: Ints) -> list[Ints]:
        batch = UserCases.from_cases(data, cases, rows)
        return [model.recall(batch, k) for model in fitted.values()]

    batches = list(iterate_user_batches(cases)) if fitted else []
    for rows, parts in zip(batches, parallel_map(recall_batch, batches, description), strict=True):
        for config, items_CK in zip(fitted, parts, strict=True):
            lists[config][rows] = items_CK
    return lists


def objective(table: Mapping[str, float]) -> float:
    """Objective of tuning, from the result of `recall_table`; 0 without a case."""
    return float(sum(np.nan_to_num(table[metric]) for metric in OBJECTIVE))
