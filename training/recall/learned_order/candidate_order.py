"""Learned order of a channel's candidates: boosted trees on top of the order by activation.

The score of a candidate is `-log(1 + rank) + trees`, with trees that were fitted as a correction of the rank, by
LambdaMART (Burges 2010, MSR-TR-2010-82) or by the listwise cross-entropy XE-NDCG (Bruch 2021, arXiv 1911.09798). Without
trees, or where they have nothing to say, the order by activation remains.

Legend: R candidates of all requests, Q requests, C candidates of one request, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.nn.trees import PastRequests, Trees, dataset

FILE = "order.txt"
LIGHTGBM_PARAMETERS: Mapping[str, Any] = {
    "feature_fraction": 0.5,
    "force_col_wise": True,
}

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class CandidateOrder:
    """Fitted trees."""

    trees: Trees

    @classmethod
    def fit(cls, examples: PastRequests, config: Any, seed: int, threads: int) -> CandidateOrder | None:
        """Fit the trees; None if no candidate is a target, or all of them.

        Args:
            examples: Candidates of past requests in the order by activation.
            config: The `order` part of a channel's config: number and size of the trees, and LightGBM's ranking objective.
            seed: Of the trees.
            threads: Number of threads.
        """
        if not examples.has_both_classes:
            return None
        parameters = {
            **LIGHTGBM_PARAMETERS,
            **config.objective,
            "learning_rate": config.learning_rate,
            "num_leaves": config.leaves,
            "min_data_in_leaf": config.min_candidates_per_leaf,
        }
        rows = {
            "group": examples.count_Q,
            "init_score": np.concatenate([np.zeros(0), *(base_scores(int(count)) for count in examples.count_Q)]),
            "feature_name": list(examples.feature_names) or "auto",
        }
        data = dataset(examples.features_RN, examples.is_target_R, parameters, seed, threads, **rows)
        return cls(Trees.fit(data, config.trees, "learned order"))

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
            score_K[:C] += self.trees.predict(np.zeros((1, 0), dtype=np.float32), features_CF[None])[0]
            score_K[C:] += min(score_K[:C].min() - base_K[C - 1], 0.0)
        order_K = np.argsort(-score_K, kind="stable")
        return item_K[order_K], score_K[order_K]

    def save(self, folder: Path) -> None:
        """Write a text file."""
        self.trees.save(folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> CandidateOrder | None:
        """The order that `save` wrote; None if there is none."""
        trees = Trees.load(folder / FILE)
        return None if trees is None else cls(trees)


def base_scores(count: int) -> NDArray[np.float64]:
    """Scores of the order by activation, best first."""
    return -np.log1p(np.arange(count))
