"""Collaborative-filtering baselines tuned on the validation part: item-kNN, iALS and EASE.

Each is fitted on the train part and recommends for a case from all listens of the user before it. Candidates are
catalog tracks that the user has not listened to, as is usual for these models and needed for their comparison on
discoveries. Recall with played tracks among the candidates is measured on the validation part only, for each member of
the grids.

Legend: C cases, K candidates, T tracks of one user, I tracks of the listen matrix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from training.data.recall_cases import RecallCases, recall_table
from training.data.training_data import TrainingData
from training.engine.parallel_map import parallel_map
from training.evaluation.baselines.ease import EaseConfig
from training.evaluation.baselines.ials import IALSConfig
from training.evaluation.baselines.item_knn import ItemKNNConfig
from training.evaluation.baselines.listen_matrix import ListeningHistory, ListenMatrix
from training.evaluation.baselines.top_k import top_k
from training.evaluation.baselines.user_plays import iterate_user_batches

VALIDATION_CASES_PER_USER = 10

Ints = NDArray[np.int64]


class FittedBaseline(Protocol):
    """Model fitted on a listen matrix."""

    def scores(self, columns_T: Ints, counts_CT: Ints) -> NDArray[np.float32]:
        """Scores of all tracks of the matrix, [I, C]; tracks with scores of 0 or less are not recommended.

        Args:
            columns_T: Columns of the tracks that the user had listened to.
            counts_CT: Number of listens of these tracks before each case; the cases are those of one user, in order.
        """


class BaselineConfig(Protocol):
    """Parameters of a baseline."""

    def fit(self, listens: ListenMatrix) -> FittedBaseline:
        """Fit the baseline."""


BASELINES: Mapping[str, Sequence[BaselineConfig]] = {
    "item_knn": [ItemKNNConfig(shrink, power) for power in (0, 0.5) for shrink in (0, 5)],
    "ials": [IALSConfig(64, regularization, 1, power) for power in (0, 0.5) for regularization in (3, 30)],
    "ease": [EaseConfig(regularization, power) for power in (0, 0.5) for regularization in (100, 1000)],
}
"""Parameter grid of each baseline."""

SELECTION_METRIC = "recall_at_200/reachable"


@dataclass(frozen=True)
class Baselines:
    """Tuned baselines."""

    data: TrainingData
    listens: ListenMatrix
    configs: Mapping[str, BaselineConfig]  # chosen parameters of each baseline
    table: Mapping[str, Mapping[BaselineConfig, Mapping[str, float]]]  # baseline → parameters → metric → value
    cases: int  # validation cases used for tuning

    @classmethod
    def tune(cls, data: TrainingData, k: int) -> Baselines:
        """Evaluate all grids on a sample of the validation cases, with lists of length `k`."""
        listens = ListenMatrix.from_data(data)
        cases = data.recall_cases("validation").sample(VALIDATION_CASES_PER_USER, data.recipe.seed)
        user_cases = [_UserCases.from_cases(data, listens, cases, rows) for rows in iterate_user_batches(cases)]

        def evaluate(config: BaselineConfig) -> dict[str, float]:
            model = config.fit(listens)
            unplayed, all_tracks = (np.zeros((len(cases), k), dtype=np.int64) for _ in range(2))
            for batch in user_cases:
                scores_IC = model.scores(batch.columns_T, batch.counts_CT)
                all_tracks[batch.rows] = _top_tracks(listens, scores_IC, k)
                unplayed[batch.rows] = _top_tracks(listens, batch.mask_played(scores_IC), k)
            with_heard = {f"{name}/with_heard": value for name, value in recall_table(all_tracks, cases).items()}
            return recall_table(unplayed, cases) | with_heard

        grid = [config for configs in BASELINES.values() for config in configs]
        metrics = dict(zip(grid, parallel_map(evaluate, grid, "tune baselines"), strict=True))
        table = {name: {config: metrics[config] for config in configs} for name, configs in BASELINES.items()}
        chosen = {
            name: max(rows, key=lambda config: np.nan_to_num(rows[config][SELECTION_METRIC]))
            for name, rows in table.items()
        }
        return cls(data, listens, chosen, table, len(cases))

    def on(self, data: TrainingData) -> Baselines:
        """The same parameters, fitted on the train part of other data."""
        return replace(self, data=data, listens=ListenMatrix.from_data(data))

    def recall(self, cases: RecallCases, k: int) -> dict[str, Ints]:
        """Lists [C, K] of each baseline, best first, padded with 0."""
        models = {name: config.fit(self.listens) for name, config in self.configs.items()}

        def lists(rows: Ints) -> dict[str, Ints]:
            batch = _UserCases.from_cases(self.data, self.listens, cases, rows)
            return {
                name: _top_tracks(self.listens, batch.mask_played(model.scores(batch.columns_T, batch.counts_CT)), k)
                for name, model in models.items()
            }

        items = {name: np.zeros((len(cases), k), dtype=np.int64) for name in models}
        batches = list(iterate_user_batches(cases))
        for rows, part in zip(batches, parallel_map(lists, batches, "baselines"), strict=True):
            for name, items_CK in part.items():
                items[name][rows] = items_CK
        return items

    def notes(self) -> dict[str, Any]:
        """Chosen parameters and the metrics of all grid members, as JSON values."""
        return {
            name: {
                "chosen": describe_config(config),
                "by": SELECTION_METRIC,
                "cases": self.cases,
                "table": {describe_config(member): dict(metrics) for member, metrics in self.table[name].items()},
            }
            for name, config in self.configs.items()
        }


def describe_config(config: Any) -> str:
    """Parameters as text, e.g. `regularization 100, power 0.5`."""
    return ", ".join(f"{name} {value:g}" for name, value in asdict(config).items())


@dataclass(frozen=True)
class _UserCases:
    """A batch of cases of one user."""

    rows: Ints  # of the cases
    columns_T: Ints  # columns of the tracks that the user had listened to
    counts_CT: Ints  # number of listens before each case

    @classmethod
    def from_cases(cls, data: TrainingData, listens: ListenMatrix, cases: RecallCases, rows: Ints) -> _UserCases:
        history = ListeningHistory(data, int(cases.user_C[rows[0]]))
        counts_CT = history.play_counts(cases.play_number_C[rows])
        columns_T = listens.column_V[history.tracks_T]
        is_used_T = (columns_T >= 0) & (counts_CT[-1] > 0)
        return cls(rows, columns_T[is_used_T], counts_CT[:, is_used_T])

    def mask_played(self, scores_IC: NDArray[np.float32]) -> NDArray[np.float32]:
        """Set the scores of played tracks to -inf, in place."""
        case, track = np.nonzero(self.counts_CT)
        scores_IC[self.columns_T[track], case] = -np.inf
        return scores_IC


def _top_tracks(listens: ListenMatrix, scores_IC: NDArray[np.float32], k: int) -> Ints:
    """Tracks with the highest scores [C, K], padded with 0."""
    column_CK = top_k(scores_IC, k)
    return np.where(column_CK >= 0, listens.tracks_I[column_CK], 0)
