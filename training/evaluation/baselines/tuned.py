"""Baselines tuned on the validation part: item-kNN, iALS, EASE, base-level activation and TIFU-KNN.

Parameters are tuned one after the other, in the order of the grid, with the best values so far for the others; ties go
to the config that was tried first.

Legend: C cases, K candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, TypeVar

import numpy as np

from training.data.recall_cases import RecallCases, recall_table
from training.data.training_data import TrainingData
from training.evaluation.baselines.collaborative import IALS, Ease, ItemKNN
from training.evaluation.baselines.heuristics import BaseLevelActivation, TifuKnnConfig
from training.evaluation.baselines.user_plays import Ints, TrainSessions, UserCases, iterate_user_batches
from training.process import parallel_map

VALIDATION_CASES_PER_USER, MAX_VALIDATION_CASES = 10, 1_000
"""They bound the time of tuning for any number of users."""

Result = TypeVar("Result")
Stage = Mapping[str, Sequence[float]]
"""Values of some parameters; all combinations are tried."""
Grids = Mapping[str, tuple[Any, Sequence[Stage]]]
"""First config of each baseline, and the stages of its grid: each has the best values so far of the other parameters.

A config has `fit(sessions)`, whose result has `recall(cases, k)`: lists [C, K] for the cases of one user in order.
"""

BASELINES: Grids = {
    "item_knn": (ItemKNN(0, 0), [{"power": (0, 0.5), "shrink": (0, 5, 40, 320)}]),
    "ials": (
        IALS(64, 100, 30, 0, rounds=8),  # rounds come last: fewer are enough to compare the other parameters
        [
            {"confidence": (3, 10, 30, 100)},
            {"regularization": (30, 100, 300)},
            {"width": (32, 64, 128)},
            {"power": (0, 0.5)},
            {"rounds": (15,)},
        ],
    ),
    "ease": (Ease(100, 0), [{"regularization": (1, 3, 10, 30, 100, 1000, 10_000)}, {"power": (0, 0.5)}]),
}
HEURISTICS: Grids = {
    "tuned_base_level_activation": (
        BaseLevelActivation(),
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
}
HEURISTIC_BASELINES = (*HEURISTICS, "popularity")
"""Baselines without a model of tracks; `popularity` is the channel."""
FAMILIES: Mapping[str, tuple[Grids, Sequence[str]]] = {
    "baselines": (BASELINES, ("recall_at_200/reachable",)),
    "heuristics": (HEURISTICS, ("recall_at_50/all", "recall_at_200/all")),
}
"""Baselines by section of `evaluation.json`, with the metrics on validation whose sum they are tuned for."""


@dataclass(frozen=True)
class Baselines:
    """Tuned baselines."""

    data: TrainingData
    sessions: TrainSessions
    configs: Mapping[str, Any]  # chosen parameters of each baseline
    table: Mapping[str, Mapping[Any, Mapping[str, float]]]  # baseline → parameters → metric → value
    cases: Mapping[str, int]  # validation cases used for tuning, by family

    @classmethod
    def tune(cls, data: TrainingData, k: int) -> Baselines:
        """Choose the parameters on samples of the validation cases, with lists of length `k`."""
        tuned = cls(data, TrainSessions.from_data(data), {}, {}, {})
        for family in FAMILIES:
            tuned = tuned._tune_family(family, k)
        return tuned

    def _tune_family(self, family: str, k: int) -> Baselines:
        grids, metrics = FAMILIES[family]
        validation = self.data.recall_cases("validation")
        per_user = validation.number_per_user(VALIDATION_CASES_PER_USER)
        cases = validation.sample(per_user, self.data.recipe.seed, MAX_VALIDATION_CASES)
        batches = [UserCases.from_cases(self.data, cases, rows) for rows in iterate_user_batches(cases)]

        def evaluate(config: Any) -> dict[str, float]:
            model, items_CK = config.fit(self.sessions), np.zeros((len(cases), k), dtype=np.int64)
            for batch in batches:
                items_CK[batch.rows] = model.recall(batch, k)
            return recall_table(items_CK, cases)

        def try_each(configs: Sequence[Any]) -> Iterable[dict[str, float]]:
            return parallel_map(evaluate, configs, f"tune {family}")

        def worth(row: Mapping[str, float]) -> float:
            return sum(float(np.nan_to_num(row[metric])) for metric in metrics)

        tuned = {name: tune_in_stages(first, stages, try_each, worth) for name, (first, stages) in grids.items()}
        chosen = {name: config for name, (config, _) in tuned.items()}
        table = {name: tried for name, (_, tried) in tuned.items()}
        counts = {**self.cases, family: len(cases)}
        return replace(self, configs={**self.configs, **chosen}, table={**self.table, **table}, cases=counts)

    def recall(self, cases: RecallCases, k: int, names: Iterable[str] | None = None) -> dict[str, Ints]:
        """Lists [C, K] of each baseline, or of the baselines `names`, best first, padded with 0."""
        models = {name: self.configs[name].fit(self.sessions) for name in (names or self.configs)}

        def lists(rows: Ints) -> list[Ints]:
            batch = UserCases.from_cases(self.data, cases, rows)
            return [model.recall(batch, k) for model in models.values()]

        items = {name: np.zeros((len(cases), k), dtype=np.int64) for name in models}
        batches = list(iterate_user_batches(cases))
        for rows, part in zip(batches, parallel_map(lists, batches, "baselines"), strict=True):
            for name, items_CK in zip(models, part, strict=True):
                items[name][rows] = items_CK
        return items

    def notes(self) -> dict[str, Any]:
        """Chosen parameters and the metrics of all tried ones, by family and baseline, as JSON values."""
        return {
            family: {
                name: {
                    "chosen": describe_config(self.configs[name]),
                    "by": " + ".join(metrics),
                    "cases": self.cases[family],
                    "table": {describe_config(member): dict(row) for member, row in self.table[name].items()},
                }
                for name in grids
            }
            for family, (grids, metrics) in FAMILIES.items()
        }


def tune_in_stages(
    first: Any,
    stages: Sequence[Stage],
    evaluate: Callable[[Sequence[Any]], Iterable[Result]],
    worth: Callable[[Result], float],
) -> tuple[Any, dict[Any, Result]]:
    """The best config of a baseline, and the results of all that were tried; ties go to the one tried first.

    The first config is tried first, so that it is chosen if no result has a value.

    Args:
        first: First config.
        stages: Values of some parameters; each stage has the best values so far of the other parameters.
        evaluate: Results of some configs.
        worth: Value of a result; the largest is chosen.
    """
    chosen, table = first, dict[Any, Result]()
    for stage in stages:
        values = [dict(zip(stage, combination, strict=True)) for combination in product(*stage.values())]
        tried = dict.fromkeys([chosen, *(replace(chosen, **changes) for changes in values)])
        new = [config for config in tried if config not in table]
        table |= dict(zip(new, evaluate(new), strict=True))
        chosen = max(table, key=lambda config: worth(table[config]))
    return chosen, table


def describe_config(config: Any) -> str:
    """Parameters as text, e.g. `regularization 100, power 0.5`."""
    return ", ".join(f"{name} {value:g}" for name, value in asdict(config).items())
