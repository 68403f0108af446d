"""`trees_alone`: boosted trees on the dense features of the rankers, without a network, as a baseline in ranking tables.

Ke et al. 2017, "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS. The trees read the features of
the fitted ranker that has most of them, at the training cases of its trees, and one model is fitted per task. The
number of trees is chosen on the validation part: they are that ranker's own trees if it has dropped some for that reason;
else their boosting is continued. Temperatures are fitted there, too, as for rankers.

Legend: R cases, N dense features, B cases of a batch, T tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from training.data.user_batch import OfflineFeatures
from training.engine.threads import configure_threads
from training.nn.trees import Trees, dataset
from training.ranking import feature_cache
from training.ranking.boosted_trees import BoostedTrees, known_rows, lightgbm_parameters
from training.ranking.calibration import fit_temperatures
from training.ranking.case_batches import CaseBatch, CaseBatches
from training.ranking.cases import RankingCases, ranking_cases
from training.ranking.fitted_ranker import FittedRanker
from training.ranking.ranker import TreeConfig

TREES_ALONE = "trees_alone"
MAX_TREES, PATIENCE = 1_500, 30  # largest number of trees; trees without improvement before stopping
VALIDATION_CASES = 20_000

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TreesAlone:
    """Trees and temperatures by task, and the name of the ranker whose features they read.

    Only tasks whose training cases have both labels have trees.
    """

    reader: str
    boosters: Mapping[str, Trees]
    temperatures: Mapping[str, float] = field(default_factory=dict)  # divisor of each logit; 1 if missing

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks with trees."""
        return tuple(self.boosters)

    @classmethod
    def fit(
        cls,
        offline: OfflineFeatures,
        rankers: Mapping[str, FittedRanker],
        tuned: TreesAlone | None = None,
        tasks: Sequence[str] | None = None,
    ) -> TreesAlone | None:
        """Fit on the train part; None without a ranker.

        Args:
            offline: Point-in-time features.
            rankers: Rankers whose features can be read; their networks need not be fitted.
            tuned: Trees whose numbers and temperatures are used, for data without a validation part.
            tasks: Tasks to predict; None: all of the ranker.
        """
        if not rankers:
            return None
        reader = max(rankers, key=lambda name: _feature_count(rankers[name]))
        ranker, cases = rankers[reader], ranking_cases(offline.data)
        train = cases.filter_part("train").newest_per_user(ranker.resolved_config.trees.cases)
        validation = cases.filter_part("validation").evenly_spread(VALIDATION_CASES)
        threads = configure_threads()
        parts = [_dense_features(ranker, offline, part, threads) for part in (train, validation)]
        boosters, temperatures = {}, {}
        for task in ranker.tasks if tasks is None else tasks:
            labels = [part.labels_RT[:, part.tasks.index(task)] for part in (train, validation)]
            grown = ranker.features.trees.tasks[ranker.tasks.index(task)] if ranker.features.trees else None
            count = _count(grown, ranker.resolved_config.trees, tuned.boosters.get(task) if tuned else None)
            config = replace(ranker.resolved_config.trees, count=count)
            fitted = _fit_task(parts, labels, config, ranker.resolved_config.seed, threads, grown)
            if fitted is not None:
                boosters[task] = fitted
                temperatures[task] = _fit_temperature(fitted, parts[1], labels[1])
        return cls(reader, boosters, tuned.temperatures if tuned else temperatures)

    @cached_property
    def _trees(self) -> BoostedTrees:
        return BoostedTrees(tuple(self.boosters.values()))

    def predict(self, batch: CaseBatch) -> Floats:
        """Calibrated probabilities [B, T] for a batch with the features of the reader."""
        dense = batch.users.context_BU, batch.candidates.features_BCF, batch.candidates.matches_BCM
        features = [part.numpy() for part in dense]
        logits_BT = self._trees.predict_logits(*features)[:, 0]
        temperature_T = np.array([self.temperatures.get(task, 1.0) for task in self.tasks], np.float32)
        probability_BT: Floats = 1 / (1 + np.exp(-logits_BT / temperature_T))
        return probability_BT


def _count(grown: Trees | None, config: TreeConfig, tuned: Trees | None) -> int:
    """The largest number of trees, given a ranker's trees of a task and those that were tuned without the validation part."""
    if tuned is not None:
        return tuned.count
    return MAX_TREES if grown is None or grown.count == config.count else grown.count


def _feature_count(ranker: FittedRanker) -> int:
    reads = ranker.resolved_config.features
    switched = (reads.hard_search, reads.genres, reads.content, bool(reads.effective_impressions), *reads.searches)
    return len([read for read in switched if read])


def _dense_features(ranker: FittedRanker, offline: OfflineFeatures, cases: RankingCases, processes: int) -> Floats:
    batches = CaseBatches(cases, offline, ranker.feature_service, replace(ranker.features, trees=None))
    features = ranker.resolved_config.features
    file = feature_cache.find_file(offline.data, offline.contract(ranker.feature_service), features, cases)
    if not feature_cache.load(batches, file):
        batches.precompute_dense_features(processes)
    assert batches.dense_features is not None  # noqa: S101  # just computed
    return batches.dense_features.features_RN


def _fit_task(
    parts: list[Floats],
    labels: list[Floats],
    config: TreeConfig,
    seed: int,
    threads: int,
    grown: Trees | None = None,
) -> Trees | None:
    """At most `config.count` trees on the first part, as many as are best on the second, if it has cases.

    None if the first part has one label only.

    Args:
        parts: Features of train and validation.
        labels: Labels of both; NaN if unknown.
        config: Parameters of the trees.
        seed: Of the trees.
        threads: Number of threads.
        grown: Trees that were fitted on the first part, to continue.
    """
    if grown is not None and grown.count >= config.count:
        return grown
    train, validation = (known_rows(*part) for part in zip(parts, labels, strict=True))
    if len(np.unique(train[1])) < 2:
        return None
    data = dataset(*train, lightgbm_parameters(config), seed, threads)
    count = config.count - (0 if grown is None else grown.count)
    return Trees.fit(data, count, TREES_ALONE, grown, validation if len(validation[1]) else None, PATIENCE)


def _fit_temperature(trees: Trees, features_RN: Floats, label_R: Floats) -> float:
    """Temperature of the validation part; labels may be NaN."""
    if not len(label_R):
        return 1.0
    logit_R = trees.predict_rows(features_RN)
    return fit_temperatures(torch.tensor(logit_R)[:, None], torch.tensor(label_R)[:, None])[0]
