"""Learned order of a channel's candidates: boosted trees on top of the order by activation.

The score of a candidate is `-log(1 + rank) + trees`, with trees that were fitted as a correction of the rank, by
LambdaMART (Burges 2010, MSR-TR-2010-82) or by the listwise cross-entropy XE-NDCG (Bruch 2021, arXiv 1911.09798). Without
trees, or where they have nothing to say, the order by activation remains.

Legend: R candidates of all requests, Q requests, C candidates of one request, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from training.engine.lightgbm_import import lightgbm
    from training.nn.compiled_trees import TreeScorer

FILE = "order.txt"
LIGHTGBM_PARAMETERS: Mapping[str, Any] = {
    "feature_fraction": 0.5,
    "lambda_l2": 20.0,
    "max_bin": 127,
    "deterministic": True,
    "force_col_wise": True,
    "verbose": -1,
}

Floats = NDArray[np.float32]


class TreesConfig(Protocol):
    """Fields that the config of an order has."""

    @property
    def trees(self) -> int:
        """Number of trees."""

    @property
    def leaves(self) -> int:
        """Maximum number of leaves of a tree."""

    @property
    def learning_rate(self) -> float:
        """Learning rate."""

    @property
    def min_candidates_per_leaf(self) -> int:
        """Minimum number of training rows of a leaf."""

    @property
    def objective(self) -> Mapping[str, Any]:
        """LightGBM's ranking objective and its parameters."""


@dataclass(frozen=True)
class OrderExamples:
    """Candidates of Q past requests, grouped by request, in the order by activation."""

    features_RF: Floats
    is_target_R: NDArray[np.bool_]
    count_Q: NDArray[np.int64]  # candidates of each request
    feature_names: Sequence[str] = ()  # names in the saved trees

    @property
    def has_both_classes(self) -> bool:
        """Whether there are both targets and other candidates, as fitting requires."""
        return bool(self.is_target_R.any() and not self.is_target_R.all())


@dataclass(frozen=True)
class CandidateOrder:
    """Fitted trees."""

    booster: lightgbm.Booster

    @classmethod
    def fit(cls, examples: OrderExamples, config: TreesConfig, seed: int, threads: int) -> CandidateOrder | None:
        """Fit the trees; None if no candidate is a target, or all of them."""
        if not examples.has_both_classes:
            return None
        # Imported here, because fits of other channels do not need it.
        from training.engine.lightgbm_import import lightgbm, train_trees

        parameters = {
            **LIGHTGBM_PARAMETERS,
            **config.objective,
            "learning_rate": config.learning_rate,
            "num_leaves": config.leaves,
            "min_data_in_leaf": config.min_candidates_per_leaf,
            "seed": seed,
            "num_threads": threads,
        }
        rank_R = np.concatenate([np.zeros(0), *(base_scores(int(count)) for count in examples.count_Q)])
        rows = lightgbm.Dataset(
            examples.features_RF,
            examples.is_target_R,
            group=examples.count_Q,
            init_score=rank_R,
            feature_name=list(examples.feature_names) or "auto",
            params=parameters,
        )
        return cls(train_trees(parameters, rows, config.trees, "learned order"))

    def reorder(self, item_K: NDArray[np.int64], features_CF: Floats) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The items of one request by the learned order, and their scores, descending. Runs on the calling thread.

        Args:
            item_K: Items by activation.
            features_CF: Features of the first C of them. Further items follow in their order.
        """
        C = len(features_CF)
        base_K = base_scores(len(item_K))
        score_K = base_K.copy()
        if C:
            score_K[:C] += self._scorer.predict(np.zeros((1, 0), dtype=np.float32), features_CF[None])[0]
            score_K[C:] += min(score_K[:C].min() - base_K[C - 1], 0.0)
        order_K = np.argsort(-score_K, kind="stable")
        return item_K[order_K], score_K[order_K]

    @cached_property
    def _scorer(self) -> TreeScorer:
        from training.nn.compiled_trees import TreeScorer  # here, like LightGBM

        return TreeScorer(self.booster)

    def save(self, folder: Path) -> None:
        """Write a text file."""
        self.booster.save_model(folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> CandidateOrder | None:
        """The order that `save` wrote; None if there is none."""
        if not (folder / FILE).exists():
            return None
        from training.engine.lightgbm_import import lightgbm

        return cls(lightgbm.Booster(model_file=folder / FILE))


def base_scores(count: int) -> NDArray[np.float64]:
    """Scores of the order by activation, best first."""
    return -np.log1p(np.arange(count))
