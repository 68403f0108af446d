"""Collaborative-filtering baselines tuned on the validation part: item-kNN, iALS and EASE.

Each is fitted on the train part and recommends for a case from all listens of the user before it. Candidates are
catalog tracks that the user has not played for any duration, as is usual for these models and needed for their
comparison on discoveries. Recall with played tracks among the candidates is measured on the validation part only, for each member of
the grids.

Legend: C cases, K candidates, T tracks that one user listened to, E pairs of a case and a track of the listen matrix
that the user had played, I tracks of the listen matrix.

Item-kNN: scores a track by its similarity to the tracks of the user's history.

Sarwar et al., "Item-Based Collaborative Filtering Recommendation Algorithms" (WWW 2001): the cosine of two tracks'
listens over users. Here `x_i·x_j / √((x_i² + shrink)(x_j² + shrink))`, as if each track had one additional unique
listener, so that tracks with few listens are not similar to others. Differs from the paper: all tracks are neighbors,
including the track itself. A cut to the nearest neighbors had a lower recall on real logs (`docs/log/`), and
without it the sum goes over users, who are far fewer. Legend: U users, I tracks, T tracks of one user, C cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from training.data.recall_cases import RecallCases, recall_table
from training.data.training_data import TrainingData
from training.engine.parallel_map import parallel_map
from training.evaluation.baselines.ease import EaseConfig
from training.evaluation.baselines.ials import IALSConfig
from training.evaluation.baselines.listen_matrix import ListenMatrix, raise_counts
from training.evaluation.baselines.user_plays import UserPlays, iterate_user_batches
from training.index.top_k import top_k


@dataclass(frozen=True)
class ItemKNNConfig:
    """Parameters of item-kNN."""

    shrink: float
    power: float  # n listens count n^power

    def fit(self, listens: ListenMatrix) -> ItemKNN:
        """Fit the baseline."""
        return ItemKNN(listens, self)


class ItemKNN:
    """Fitted item-kNN; stores one number per user-track pair and never materializes the similarities."""

    def __init__(self, listens: ListenMatrix, config: ItemKNNConfig) -> None:
        self.power = config.power
        strength_IU = listens.raise_counts(config.power).T.tocsr()
        norm_I = np.sqrt(strength_IU.power(2).sum(1) + config.shrink)
        self.direction_IU: csr_array = (diags_array((1 / norm_I).astype(np.float32)) @ strength_IU).tocsr()

    def scores(self, columns_T: NDArray[np.int64], counts_CT: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of all tracks, [I, C]."""
        similarity_UC = self.direction_IU[columns_T].T @ raise_counts(counts_CT.T, self.power)
        scores_IC: NDArray[np.float32] = self.direction_IU @ similarity_UC
        return scores_IC


VALIDATION_CASES_PER_USER = 10
MAX_CASES = 2_000  # validation cases; bounds the time of tuning for any number of users

Ints = NDArray[np.int64]
Result = TypeVar("Result")


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


Stage = Mapping[str, Sequence[float]]
"""Values of some parameters; all combinations are tried."""

BASELINES: Mapping[str, tuple[Any, Sequence[Stage]]] = {
    "item_knn": (ItemKNNConfig(0, 0), [{"power": (0, 0.5), "shrink": (0, 5, 40, 320)}]),
    "ials": (
        IALSConfig(64, 100, 30, 0),
        [
            {"confidence": (3, 10, 30, 100)},
            {"regularization": (30, 100, 300)},
            {"width": (32, 64, 128)},
            {"power": (0, 0.5)},
        ],
    ),
    "ease": (EaseConfig(100, 0), [{"regularization": (1, 3, 10, 30, 100, 1000, 10_000)}, {"power": (0, 0.5)}]),
}
"""First config of each baseline, and the stages of its grid: each has the best values so far of the other parameters."""

SELECTION_CUTOFF = 200


@dataclass(frozen=True)
class Baselines:
    """Tuned baselines."""

    data: TrainingData
    listens: ListenMatrix
    configs: Mapping[str, BaselineConfig]  # chosen parameters of each baseline
    table: Mapping[str, Mapping[BaselineConfig, Mapping[str, float]]]  # baseline → parameters → metric → value
    cases: int  # validation cases used for tuning
    selection_metric: str = f"recall_at_{SELECTION_CUTOFF}/reachable"

    @classmethod
    def tune(cls, data: TrainingData, k: int, cutoff: int = SELECTION_CUTOFF) -> Baselines:
        """Choose the parameters by recall of reachable discoveries at `cutoff` on a sample of the validation cases.

        Args:
            data: Training data.
            k: Length of the lists, at least `cutoff`.
            cutoff: Cutoff of the metric that the parameters are chosen by.
        """
        listens = ListenMatrix.from_data(data)
        validation = data.recall_cases("validation")
        per_user = validation.number_per_user(VALIDATION_CASES_PER_USER)
        cases = validation.sample(per_user, data.recipe.seed, MAX_CASES)
        user_cases = [_UserCases.from_cases(data, listens, cases, rows) for rows in iterate_user_batches(cases)]
        selection_metric, cutoffs = f"recall_at_{cutoff}/reachable", tuple(sorted({50, 200, cutoff}))

        def evaluate(config: BaselineConfig) -> dict[str, float]:
            model = config.fit(listens)
            unplayed, all_tracks = (np.zeros((len(cases), k), dtype=np.int64) for _ in range(2))
            for batch in user_cases:
                scores_IC = model.scores(batch.columns_T, batch.counts_CT)
                all_tracks[batch.rows] = _top_tracks(listens, scores_IC, k)
                unplayed[batch.rows] = _top_tracks(listens, batch.mask_played(scores_IC), k)
            with_heard = recall_table(all_tracks, cases, cutoffs)
            return recall_table(unplayed, cases, cutoffs) | {
                f"{name}/with_heard": value for name, value in with_heard.items()
            }

        chosen, table = tune_in_stages(
            BASELINES,
            lambda configs: parallel_map(evaluate, configs, "tune baselines"),
            lambda metrics: float(np.nan_to_num(metrics[selection_metric])),
        )
        return cls(data, listens, chosen, table, len(cases), selection_metric)

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
                "by": self.selection_metric,
                "cases": self.cases,
                "table": {describe_config(member): dict(metrics) for member, metrics in self.table[name].items()},
            }
            for name, config in self.configs.items()
        }


def tune_in_stages(
    grids: Mapping[str, tuple[Any, Sequence[Stage]]],
    evaluate: Callable[[Sequence[Any]], Iterable[Result]],
    worth: Callable[[Result], float],
) -> tuple[dict[str, Any], dict[str, dict[Any, Result]]]:
    """The best config of each baseline, and the results of all that were tried; ties go to the one tried first.

    The first config of each baseline is tried first, so that it is chosen if no result has a value.

    Args:
        grids: First config and stages of each baseline, as in BASELINES.
        evaluate: Results of some configs.
        worth: Value of a result; the largest is chosen.
    """
    chosen = {name: config for name, (config, _) in grids.items()}
    table: dict[str, dict[Any, Result]] = {name: {} for name in grids}
    for stage in range(max(len(stages) for _, stages in grids.values())):
        new = [
            (name, config)
            for name, (_, stages) in grids.items()
            for config in _combinations(chosen[name], stages[stage] if stage < len(stages) else {})
            if config not in table[name]
        ]
        for (name, config), result in zip(new, evaluate([config for _, config in new]), strict=True):
            table[name][config] = result
        chosen = {name: max(rows, key=lambda config: worth(rows[config])) for name, rows in table.items()}
    return chosen, table


def _combinations(config: Any, stage: Stage) -> list[Any]:
    """The config, then those with all other values of the stage."""
    others = [replace(config, **dict(zip(stage, values, strict=True))) for values in product(*stage.values())]
    return list(dict.fromkeys([config, *others]))


def describe_config(config: Any) -> str:
    """Parameters as text, e.g. `regularization 100, power 0.5`."""
    return ", ".join(f"{name} {value:g}" for name, value in asdict(config).items())


@dataclass(frozen=True)
class _UserCases:
    """A batch of cases of one user."""

    rows: Ints  # of the cases
    columns_T: Ints  # columns of the tracks that the user had listened to
    counts_CT: Ints  # number of listens before each case
    case_E: Ints
    played_column_E: Ints

    @classmethod
    def from_cases(cls, data: TrainingData, listens: ListenMatrix, cases: RecallCases, rows: Ints) -> _UserCases:
        plays = UserPlays(data, int(cases.user_C[rows[0]]))
        play_number_C = cases.play_number_C[rows]
        counts_CT = plays.listen_counts(play_number_C)
        columns_T = listens.column_V[plays.tracks_T]
        is_used_T = (columns_T >= 0) & (counts_CT[-1] > 0)
        first_play_number_T = plays.play_number_N[np.unique(plays.track_N, return_index=True)[1]]
        case_E, track_E = np.nonzero(first_play_number_T < play_number_C[:, None])
        column_E = columns_T[track_E]
        has_column_E = column_E >= 0
        return cls(rows, columns_T[is_used_T], counts_CT[:, is_used_T], case_E[has_column_E], column_E[has_column_E])

    def mask_played(self, scores_IC: NDArray[np.float32]) -> NDArray[np.float32]:
        """Set the scores of played tracks to -inf, in place."""
        scores_IC[self.played_column_E, self.case_E] = -np.inf
        return scores_IC


def _top_tracks(listens: ListenMatrix, scores_IC: NDArray[np.float32], k: int) -> Ints:
    """Tracks with the highest scores [C, K], padded with 0."""
    column_CK = top_k(scores_IC, k)
    return np.where(column_CK >= 0, listens.tracks_I[column_CK], 0)
