"""Boosted trees over a ranker's dense features, blended with the network's logits.

Ke et al. 2017, "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS. Trees are robust to
uninformative features, so they read all further searches; ids and sequences are left to the network. Stored as text,
never as a pickle. Shape letters: R rows, N dense features, T tasks, B requests, C candidates, U user features, F candidate
features, M match features.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.engine.lightgbm_import import lightgbm, train_trees
from training.nn.compiled_trees import TreeScorer
from training.ranking.ranker import TreeConfig

Floats = NDArray[np.float32]
TREES_FILE = "trees_{task}.txt"  # by number of the task
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
STAGE = 10
"""The number of trees that is chosen on validation is a multiple of this, or all."""


def lightgbm_parameters(config: TreeConfig, seed: int, threads: int) -> dict[str, Any]:
    """Return all parameters of LightGBM but the number of trees."""
    grown = {"num_leaves": config.leaves, "learning_rate": config.learning_rate}
    return {**LIGHTGBM_PARAMETERS, **grown, "seed": seed, "num_threads": threads}


@dataclass(frozen=True)
class BoostedTrees:
    """Trees that predict the logit of each task of a ranker; None for a task without labels of both classes."""

    boosters: tuple[lightgbm.Booster | None, ...]

    @classmethod
    def fit(
        cls, features_RN: Floats, labels_RT: Floats, config: TreeConfig, seed: int, threads: int
    ) -> BoostedTrees | None:
        """Fit the trees of each task on its labeled rows (label not NaN); None if no task has both classes.

        Their number is `config.counts`, or `config.count` for every task without it.
        """
        counts = config.counts or (config.count,) * labels_RT.shape[1]
        tasks = zip(labels_RT.T, counts, strict=True)
        boosters = tuple(_fit_task(features_RN, label_R, config, count, seed, threads) for label_R, count in tasks)
        return cls(boosters) if any(boosters) else None

    @property
    def counts(self) -> tuple[int, ...]:
        """Return the number of trees of each task."""
        return tuple(0 if booster is None else booster.num_trees() for booster in self.boosters)

    def keep_best(self, features_RN: Floats, labels_RT: Floats) -> BoostedTrees:
        """Return the first trees of each task, as many as have the smallest log loss on rows that they were not fitted on.

        Later trees fit the noise of a small log. A task without labels keeps all.
        """
        tasks = zip(self.boosters, labels_RT.T, strict=True)
        return BoostedTrees(tuple(booster and _keep_best(booster, features_RN, label_R) for booster, label_R in tasks))

    def predict_logits(self, context_BU: Floats, features_BCF: Floats, matches_BCM: Floats) -> Floats:
        """Return the logits of each candidate [B, C, T]; features in the order of `fit`. Runs on the calling thread.

        They are 0 for a task without trees.
        """
        feature_BCN = np.concatenate([features_BCF, matches_BCM], axis=2)
        logits_BCT = np.zeros((*feature_BCN.shape[:2], len(self.boosters)), dtype=np.float32)
        for task, scorer in self._scorers.items():
            logits_BCT[..., task] = scorer.predict(context_BU, feature_BCN)
        return logits_BCT

    @cached_property
    def _scorers(self) -> dict[int, TreeScorer]:
        return {task: TreeScorer(booster) for task, booster in enumerate(self.boosters) if booster is not None}

    def save(self, folder: Path) -> None:
        """Write a text file for each task with trees."""
        for task, booster in enumerate(self.boosters):
            if booster is not None:
                booster.save_model(folder / TREES_FILE.format(task=task))

    @classmethod
    def load(cls, folder: Path, tasks: int) -> BoostedTrees | None:
        """Read the files that `save` wrote for so many tasks; None if there is none."""
        files = [folder / TREES_FILE.format(task=task) for task in range(tasks)]
        boosters = tuple(lightgbm.Booster(model_file=file) if file.exists() else None for file in files)
        return cls(boosters) if any(boosters) else None


def _fit_task(
    features_RN: Floats, label_R: Floats, config: TreeConfig, count: int, seed: int, threads: int
) -> lightgbm.Booster | None:
    label_R = np.ascontiguousarray(label_R)
    known_R = ~np.isnan(label_R)
    if not count or len(np.unique(label_R[known_R])) < 2:
        return None
    rows = (features_RN, label_R) if known_R.all() else (features_RN[known_R], label_R[known_R])
    parameters = lightgbm_parameters(config, seed, threads)
    return train_trees(parameters, lightgbm.Dataset(*rows, params=parameters), count, "boosted trees")


def _keep_best(booster: lightgbm.Booster, features_RN: Floats, label_R: Floats) -> lightgbm.Booster:
    known_R = ~np.isnan(label_R)
    if not known_R.any():
        return booster
    features_RN, label_R = features_RN[known_R], label_R[known_R]
    logit_R, losses, total = np.zeros(len(label_R)), [], booster.num_trees()
    counts = [*range(STAGE, total, STAGE), total]
    for before, count in itertools.pairwise([0, *counts]):
        logit_R += booster.predict(features_RN, start_iteration=before, num_iteration=count - before, raw_score=True)
        losses.append((np.logaddexp(0, logit_R) - label_R * logit_R).mean())
    best = counts[int(np.argmin(losses))]
    return booster if best == total else lightgbm.Booster(model_str=booster.model_to_string(num_iteration=best))
