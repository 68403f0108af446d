"""Boosted trees over a ranker's dense features, blended with the network's logits.

Trees are robust to uninformative features, so they read all further searches; ids and sequences are left to the network.
Shape letters: R rows, N dense features, T tasks, B requests, C candidates, U user features, F candidate features, M match
features.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recommender.array_types import Floats
from recommender.nn.trees import Trees, dataset
from recommender.ranking.ranker_config import TreeConfig

TREES_FILE = "trees_{task}.txt"  # by number of the task
LIGHTGBM_PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "min_data_in_leaf": 300,
    "feature_fraction": 0.25,
    "force_row_wise": True,
}
STAGE = 10
"""The number of trees that is chosen on validation is a multiple of this, or all."""


@dataclass(frozen=True)
class BoostedTrees:
    """Trees that predict the logit of each task of a ranker; None for a task without labels of both classes."""

    tasks: tuple[Trees | None, ...]

    @classmethod
    def fit(
        cls, features_RN: Floats, labels_RT: Floats, config: TreeConfig, seed: int, threads: int
    ) -> BoostedTrees | None:
        """Fit the trees of each task on its labeled rows (label not NaN); None if no task has both classes.

        Their number is `config.counts`, or `config.count` for every task without it.
        """
        counts = config.counts or (config.count,) * labels_RT.shape[1]
        tasks = zip(labels_RT.T, counts, strict=True)
        return cls._of(_fit_task(features_RN, label_R, config, count, seed, threads) for label_R, count in tasks)

    @classmethod
    def _of(cls, tasks: Iterable[Trees | None]) -> BoostedTrees | None:
        trees = cls(tuple(tasks))
        return trees if any(trees.tasks) else None

    @property
    def counts(self) -> tuple[int, ...]:
        """Return the number of trees of each task."""
        return tuple(0 if trees is None else trees.count for trees in self.tasks)

    def keep_best(self, features_RN: Floats, labels_RT: Floats) -> BoostedTrees:
        """Return the first trees of each task, as many as have the smallest log loss on rows that they were not fitted on.

        Later trees fit the noise of a small log. A task without labels keeps all.
        """
        tasks = zip(self.tasks, labels_RT.T, strict=True)
        return BoostedTrees(tuple(trees and _keep_best(trees, features_RN, label_R) for trees, label_R in tasks))

    def predict_logits(self, context_BU: Floats, features_BCF: Floats, matches_BCM: Floats) -> Floats:
        """Return the logits of each candidate [B, C, T]; features in the order of `fit`. Runs on the calling thread.

        They are 0 for a task without trees.
        """
        feature_BCN = np.concatenate([features_BCF, matches_BCM], axis=2)
        logits_BCT = np.zeros((*feature_BCN.shape[:2], len(self.tasks)), dtype=np.float32)
        for task, trees in enumerate(self.tasks):
            if trees is not None:
                logits_BCT[..., task] = trees.predict(context_BU, feature_BCN)
        return logits_BCT

    def save(self, folder: Path) -> None:
        """Write a text file for each task with trees."""
        for task, trees in enumerate(self.tasks):
            if trees is not None:
                trees.save(folder / TREES_FILE.format(task=task))

    @classmethod
    def load(cls, folder: Path, tasks: int) -> BoostedTrees | None:
        """Read the files that `save` wrote for so many tasks; None if there is none."""
        return cls._of(Trees.load(folder / TREES_FILE.format(task=task)) for task in range(tasks))


def _fit_task(
    features_RN: Floats, label_R: Floats, config: TreeConfig, count: int, seed: int, threads: int
) -> Trees | None:
    features_RN, label_R = known_rows(features_RN, label_R)
    if not count or len(np.unique(label_R)) < 2:
        return None
    parameters = {**LIGHTGBM_PARAMETERS, "num_leaves": config.leaves, "learning_rate": config.learning_rate}
    return Trees.fit(dataset(features_RN, label_R, parameters, seed, threads), count, "boosted trees")


def known_rows(features_RN: Floats, label_R: Floats) -> tuple[Floats, Floats]:
    """Return the rows with a label."""
    known_R = ~np.isnan(label_R)
    return (features_RN, np.ascontiguousarray(label_R)) if known_R.all() else (features_RN[known_R], label_R[known_R])


def _keep_best(trees: Trees, features_RN: Floats, label_R: Floats) -> Trees:
    features_RN, label_R = known_rows(features_RN, label_R)
    if not len(label_R):
        return trees
    logit_R, losses = np.zeros(len(label_R)), []
    counts = [*range(STAGE, trees.count, STAGE), trees.count]
    for start, end in itertools.pairwise([0, *counts]):
        logit_R += trees.predict_rows(features_RN, start=start, count=end - start)
        losses.append((np.logaddexp(0, logit_R) - label_R * logit_R).mean())
    return trees.first(counts[int(np.argmin(losses))])
