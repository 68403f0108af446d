"""Boosted trees over a ranker's dense features, blended with the network's logits.

Ke et al. 2017, "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS. Trees are robust to
uninformative features, so they read all further searches; ids and sequences are left to the network. Stored as text,
never as a pickle. Shape letters: R rows, N dense features, B requests, C candidates, U user features, F candidate
features, M match features.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.engine.lightgbm_import import lightgbm
from training.nn.compiled_trees import TreeScorer
from training.ranking.ranker import TreeConfig

Floats = NDArray[np.float32]
FILE = "trees.txt"
LIGHTGBM_PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "min_data_in_leaf": 300,
    "feature_fraction": 0.25,
    "lambda_l2": 20.0,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


def lightgbm_parameters(config: TreeConfig, seed: int, threads: int) -> dict[str, Any]:
    """Return all parameters of LightGBM but the number of trees."""
    grown = {"num_leaves": config.leaves, "learning_rate": config.learning_rate}
    return {**LIGHTGBM_PARAMETERS, **grown, "seed": seed, "num_threads": threads}


@dataclass(frozen=True)
class BoostedTrees:
    """Trees that predict the logit of a ranker's first task."""

    booster: lightgbm.Booster

    @classmethod
    def fit(
        cls, features_RN: Floats, label_R: Floats, config: TreeConfig, seed: int, threads: int
    ) -> BoostedTrees | None:
        """Fit `config.count` trees on the labeled rows (label not NaN); None if these have one class only."""
        label_R = np.ascontiguousarray(label_R)
        known_R = ~np.isnan(label_R)
        if len(np.unique(label_R[known_R])) < 2:
            return None
        rows = (features_RN, label_R) if known_R.all() else (features_RN[known_R], label_R[known_R])
        parameters = lightgbm_parameters(config, seed, threads)
        return cls(lightgbm.train(parameters, lightgbm.Dataset(*rows, params=parameters), config.count))

    def predict_logits(self, context_BU: Floats, features_BCF: Floats, matches_BCM: Floats) -> Floats:
        """Return the logit of each candidate [B, C]; features in the order of `fit`. Runs on the calling thread."""
        feature_BCN = np.concatenate([features_BCF, matches_BCM], axis=2)
        return self._scorer.predict(context_BU, feature_BCN).astype(np.float32)

    @cached_property
    def _scorer(self) -> TreeScorer:
        return TreeScorer(self.booster)

    def save(self, folder: Path) -> None:
        """Write one text file."""
        self.booster.save_model(folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> BoostedTrees | None:
        """Read the file that `save` wrote; None if there is none."""
        path = folder / FILE
        return cls(lightgbm.Booster(model_file=path)) if path.exists() else None
