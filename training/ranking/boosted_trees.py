"""Boosted trees over a ranker's numbers: a second opinion on the first task, beside the network's.

Ke et al. 2017, "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS. Trees cut numbers wherever the
labels change and never mind how many of them say nothing, so they read all further searches; ids and sequences are the
network's. Written as text, never as a pickle. Shape letters: R rows, N numbers, B requests, C candidates, U user features.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from training.ranking.quick_scorer import RequestScorer

Floats = NDArray[np.float32]
FILE = "trees.txt"
LIGHTGBM_PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.08,
    "num_leaves": 31,
    "min_data_in_leaf": 300,
    "feature_fraction": 0.25,
    "lambda_l2": 20.0,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


@dataclass(frozen=True)
class BoostedTrees:
    """Trees that say how likely the first task of a ranker is."""

    booster: lightgbm.Booster

    @classmethod
    def fit(cls, numbers_RN: Floats, label_R: Floats, trees: int, seed: int, threads: int) -> BoostedTrees | None:
        """So many trees, from the rows whose label is known (not NaN); None where these have one class only."""
        label_R = np.ascontiguousarray(label_R)
        known_R = ~np.isnan(label_R)
        if len(np.unique(label_R[known_R])) < 2:
            return None
        rows = (numbers_RN, label_R) if known_R.all() else (numbers_RN[known_R], label_R[known_R])
        asked = {**LIGHTGBM_PARAMETERS, "seed": seed, "num_threads": threads}
        return cls(lightgbm.train(asked, lightgbm.Dataset(*rows, params=asked), trees))

    def predict_logits(self, context_BU: Floats, features_BCF: Floats, matches_BCM: Floats) -> Floats:
        """Logits of each candidate [B, C], from the numbers in the order in which `fit` was given them; on the thread that
        asks.
        """
        number_BCN = np.concatenate([features_BCF, matches_BCM], axis=2)
        return self._scorer.predict(context_BU, number_BCN).astype(np.float32)

    @cached_property
    def _scorer(self) -> RequestScorer:
        return RequestScorer(self.booster)

    def save(self, folder: Path) -> None:
        """Write one text file."""
        self.booster.save_model(folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> BoostedTrees | None:
        """What `save` wrote; None where there is nothing."""
        path = folder / FILE
        return cls(lightgbm.Booster(model_file=path)) if path.exists() else None
