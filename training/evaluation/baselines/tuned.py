"""Baselines that learn from what other users listened to: item-kNN, iALS and EASE, tuned on validation.

Each learns from the train part, and answers a case from all that its user had listened to before it, as the memories
do; candidates are the catalogue's tracks that the user had not listened to, as is usual for all three and as their
comparison on discoveries wants it. What they would find of all targets with the heard tracks among the candidates is
measured on validation only, for each member of their grids. Legend: C cases, K candidates, T tracks of one user, I
tracks of the listen matrix. Knows nothing about the models that are measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from training.data.recall_at_k import recall_table
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.engine.parallel_map import parallel_map
from training.evaluation.baselines.ease import EaseConfig
from training.evaluation.baselines.ials import IALSConfig
from training.evaluation.baselines.item_knn import ItemKNNConfig
from training.evaluation.baselines.listen_matrix import ListenMatrix
from training.evaluation.baselines.listening_history import ListeningHistory
from training.index.top_k import top_k

VALIDATION_CASES_PER_USER = 10
CASE_BATCH_SIZE = 32

Ints = NDArray[np.int64]


class FittedBaseline(Protocol):
    """What has learned from a listen matrix."""

    def scores(self, columns_T: Ints, counts_CT: Ints) -> NDArray[np.float32]:
        """A score of every track of the matrix for every case, [I, C]; what scores 0 or less is not recommended.

        The cases are one user's, in order, who had listened `counts_CT` times to the tracks in `columns_T`.
        """


class BaselineConfig(Protocol):
    """The parameters of a baseline."""

    def fit(self, listens: ListenMatrix) -> FittedBaseline:
        """The baseline with these parameters."""


BASELINES: Mapping[str, Sequence[BaselineConfig]] = {
    "item_knn": [ItemKNNConfig(shrink, power) for power in (0, 0.5) for shrink in (0, 5)],
    "ials": [IALSConfig(64, regularization, 1, power) for power in (0, 0.5) for regularization in (3, 30)],
    "ease": [EaseConfig(regularization, power) for power in (0, 0.5) for regularization in (100, 1000)],
}
"""What each may be: the grid of its parameters."""

SELECTION_METRIC = "recall_at_200/reachable"


@dataclass(frozen=True)
class Baselines:
    """The parameters of each baseline, by name; `table` says what every member of its grid gave on `cases` cases."""

    data: TrainingData
    listens: ListenMatrix
    configs: Mapping[str, BaselineConfig]
    table: Mapping[str, Mapping[BaselineConfig, Mapping[str, float]]]
    cases: int

    @classmethod
    def tune(cls, data: TrainingData, k: int) -> Baselines:
        """Every grid tried on a sample of the validation cases, in lists of `k`."""
        listens = ListenMatrix.from_data(data)
        cases = data.recall_cases("validation").sample(VALIDATION_CASES_PER_USER, data.recipe.seed)
        asked = [_UserCases.from_cases(data, listens, cases, rows) for rows in _user_batches(cases)]

        def figures(config: BaselineConfig) -> dict[str, float]:
            learned = config.fit(listens)
            unheard, anything = (np.zeros((len(cases), k), dtype=np.int64) for _ in range(2))
            for one in asked:
                scores_IC = learned.scores(one.columns_T, one.counts_CT)
                anything[one.rows] = _top_tracks(listens, scores_IC, k)
                unheard[one.rows] = _top_tracks(listens, one.mask_played(scores_IC), k)
            with_heard = {f"{name}/with_heard": value for name, value in recall_table(anything, cases).items()}
            return recall_table(unheard, cases) | with_heard

        grid = [config for some in BASELINES.values() for config in some]
        found = dict(zip(grid, parallel_map(figures, grid, "tune baselines"), strict=True))
        table = {name: {config: found[config] for config in some} for name, some in BASELINES.items()}
        configs = {
            name: max(tried, key=lambda config: np.nan_to_num(tried[config][SELECTION_METRIC]))
            for name, tried in table.items()
        }
        return cls(data, listens, configs, table, len(cases))

    def recall(self, cases: RecallCases, k: int) -> dict[str, Ints]:
        """For each baseline one list a case [C, K], best first, 0 where it finds no more."""
        learned = {name: config.fit(self.listens) for name, config in self.configs.items()}

        def lists(rows: Ints) -> dict[str, Ints]:
            asked = _UserCases.from_cases(self.data, self.listens, cases, rows)
            return {
                name: _top_tracks(self.listens, asked.mask_played(one.scores(asked.columns_T, asked.counts_CT)), k)
                for name, one in learned.items()
            }

        found = {name: np.zeros((len(cases), k), dtype=np.int64) for name in learned}
        pieces = list(_user_batches(cases))
        for rows, part in zip(pieces, parallel_map(lists, pieces, "baselines"), strict=True):
            for name, items_CK in part.items():
                found[name][rows] = items_CK
        return found

    def notes(self) -> dict[str, Any]:
        """What was chosen and what else there was, as JSON values."""
        return {
            name: {
                "chosen": describe_config(config),
                "by": SELECTION_METRIC,
                "cases": self.cases,
                "table": {describe_config(one): dict(figures) for one, figures in self.table[name].items()},
            }
            for name, config in self.configs.items()
        }


def describe_config(config: Any) -> str:
    """`regularization 100, power 0.5`."""
    return ", ".join(f"{name} {value:g}" for name, value in asdict(config).items())


def _user_batches(cases: RecallCases) -> Iterator[Ints]:
    """Rows of the cases of one user at a time, not too many at once."""
    for user in np.unique(cases.user_C):
        rows = np.flatnonzero(cases.user_C == user)
        for start in range(0, len(rows), CASE_BATCH_SIZE):
            yield rows[start : start + CASE_BATCH_SIZE]


@dataclass(frozen=True)
class _UserCases:
    """Some cases of one user: `counts_CT` says how often the matrix's tracks `columns_T` had been listened to."""

    rows: Ints
    columns_T: Ints
    counts_CT: Ints

    @classmethod
    def from_cases(cls, data: TrainingData, listens: ListenMatrix, cases: RecallCases, rows: Ints) -> _UserCases:
        past = ListeningHistory(data, int(cases.user_C[rows[0]]))
        counts_CT = past.play_counts(cases.play_number_C[rows])
        columns_T = listens.column_V[past.tracks_T]
        kept = (columns_T >= 0) & (counts_CT[-1] > 0)
        return cls(rows, columns_T[kept], counts_CT[:, kept])

    def mask_played(self, scores_IC: NDArray[np.float32]) -> NDArray[np.float32]:
        """The scores with the tracks that had been listened to out of reach, in place."""
        case, track = np.nonzero(self.counts_CT)
        scores_IC[self.columns_T[track], case] = -np.inf
        return scores_IC


def _top_tracks(listens: ListenMatrix, scores_IC: NDArray[np.float32], k: int) -> Ints:
    """The best-scored tracks, [C, K], 0 where none is left."""
    column_CK = top_k(scores_IC, k)
    return np.where(column_CK >= 0, listens.tracks_I[column_CK], 0)
