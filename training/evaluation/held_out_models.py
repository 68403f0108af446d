"""Models fitted without the validation and test parts, and their predictions for these parts.

Features are point-in-time, read in the same way as in training. Legend: C cases, K candidates, R ranking cases, T
tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recommender.array_types import Ints
from recommender.catalog.arrays import Ragged
from recommender.ranking.fitted_ranker import FittedRanker
from recommender.ranking.listwise_head import LambdaMARTHead
from recommender.ranking.ranker import Ranker
from recommender.ranking.registry import RANKERS
from recommender.recall.channel import RecallChannel
from recommender.recall.collection_recall import CollectionRecall
from recommender.recall.registry import load_collection_recall
from releases.format import MissingInput
from training.data.candidate_lists import load_fitted_channels, recall_candidates
from training.data.offline_features import OfflineFeatures
from training.data.recall_cases import RecallCases, row_chunks
from training.data.training_data import TrainingData
from training.process import parallel_map
from training.ranking.case_batches import CaseBatches, load_track_statistics
from training.ranking.labeled_cases import RankingCases
from training.recipes import recipe
from training.workspace import INPUTS_FILE, MODELS, Workspace

RANKING_BATCH_SIZE = 512
FIT = "held_out"
TREES_ALONE = "trees_alone"
"""The boosted trees of a ranker without its network and without a temperature: tables show what the network adds."""


@dataclass(frozen=True)
class HeldOutModels:
    """Models of the `held_out` fit by name, in the order of the recipe."""

    data: TrainingData
    offline: OfflineFeatures
    channels: Mapping[str, RecallChannel]
    rankers: Mapping[str, FittedRanker]
    collection_recallers: Mapping[str, CollectionRecall] = field(default_factory=dict)

    @cached_property
    def networks(self) -> dict[str, Ranker]:
        """Networks of the rankers, for batches of cases."""
        return {
            name: RANKERS[ranker.name].from_weights(ranker.resolved_config, ranker.tasks, ranker.weights)
            for name, ranker in self.rankers.items()
        }

    @classmethod
    def open(cls, workspace: Workspace) -> HeldOutModels:
        """Load the fitted models; models of the recipe without a fit on the present marts are omitted.

        Raises:
            MissingInput: No channel is fitted.
        """
        _print_omitted(workspace)
        cache_folder = workspace.cache_folder(FIT)
        data = TrainingData(workspace.marts, FIT, recipe(workspace.recipe), cache_folder=cache_folder)
        # A saved ranker has the newest statistics of each track, for serving. Here every request gets the
        # statistics of its own day.
        statistics = load_track_statistics(data)
        rankers = {}
        for name in workspace.list_fitted("ranker", FIT):
            rankers[name] = FittedRanker.load(workspace.model_folder("ranker", FIT, name), data.vocabulary)
            rankers[name].features = replace(rankers[name].features, statistics=statistics)
        for head_name in workspace.list_fitted("head", FIT):
            head = LambdaMARTHead.load(workspace.model_folder("head", FIT, head_name))
            rankers = {name: ranker.with_listwise_head(head) for name, ranker in rankers.items()}
        channels = load_fitted_channels(workspace, FIT, data)
        if not channels:
            raise MissingInput(
                f"no channel of the present marts in {workspace.fit_folder(FIT)}; "
                "run `python -m training.train channel NAME`"
            )
        folders = {
            name: workspace.model_folder("collection", FIT, name) for name in workspace.list_fitted("collection", FIT)
        }
        return cls(data, OfflineFeatures(data), channels, rankers, load_collection_recall(folders, channels))

    def recall(self, cases: RecallCases, description: str) -> tuple[dict[str, Ints], Ragged]:
        """Candidates of every channel for every case, and what its user had played before it, as a request reads them.

        `description` is the text of the progress bar.
        """
        return recall_candidates(self.channels, self.offline, cases, description)

    @property
    def tree_ranker(self) -> FittedRanker | None:
        """The ranker whose trees are TREES_ALONE; None if none has trees."""
        return next((ranker for ranker in self.rankers.values() if ranker.features.trees is not None), None)

    def tasks(self, name: str) -> tuple[str, ...]:
        """Tasks that a ranker or TREES_ALONE predicts, in their order."""
        ranker = self.tree_ranker
        if name != TREES_ALONE or ranker is None or ranker.features.trees is None:
            return self.rankers[name].tasks
        grown = zip(ranker.tasks, ranker.features.trees.tasks, strict=True)
        return tuple(task for task, trees in grown if trees is not None)

    def predict(self, cases: RankingCases, description: str) -> dict[str, NDArray[np.float32]]:
        """Calibrated probabilities [R, T] of each ranker, tasks in the ranker's order, and of TREES_ALONE."""
        parts: dict[str, list[NDArray[np.float32]]] = {}
        pieces = row_chunks(len(cases), RANKING_BATCH_SIZE)
        for own_name, ranker in self.rankers.items():
            batches = CaseBatches(cases, self.offline, ranker.feature_service, ranker.features)
            for part in parallel_map(partial(self._probabilities, batches, own_name), pieces, f"rank {description}"):
                for name, probability_RT in part.items():
                    parts.setdefault(name, []).append(probability_RT)
        names = [*self.rankers, *([TREES_ALONE] if self.tree_ranker else [])]
        empty = {name: np.zeros((0, len(self.tasks(name))), dtype=np.float32) for name in names}
        return {name: np.concatenate([empty[name], *parts.get(name, [])]) for name in names}

    def _probabilities(
        self, batches: CaseBatches, name: str, rows: NDArray[np.int64]
    ) -> dict[str, NDArray[np.float32]]:
        ranker, batch = self.rankers[name], batches[rows]
        probabilities = {name: _probabilities(ranker, self.networks[name], batch)}
        logits_BCT = batch.candidates.tree_logits_BCT
        if ranker is self.tree_ranker and logits_BCT is not None:
            columns = [ranker.tasks.index(task) for task in self.tasks(TREES_ALONE)]
            probabilities[TREES_ALONE] = torch.sigmoid(logits_BCT[:, 0, columns]).numpy()
        return probabilities


def _print_omitted(workspace: Workspace) -> None:
    for kind, names in MODELS.items():
        fitted = workspace.list_fitted(kind, FIT)
        for name in names:
            if name not in fitted and (workspace.model_folder(kind, FIT, name) / INPUTS_FILE).exists():
                print(
                    f"omitted: {kind} {name} ({FIT}) was fitted on other marts; "
                    f"run `python -m training.train {kind} {name} --fit {FIT}` to evaluate and release it"
                )


@torch.no_grad()
def _probabilities(ranker: FittedRanker, network: Ranker, batch: Any) -> NDArray[np.float32]:
    logits_BT = network(network.encode_user(batch.users), batch.candidates)[:, 0]
    temperatures = torch.tensor(ranker.resolved_config.validation.temperatures or [1.0] * len(ranker.tasks))
    return torch.sigmoid(logits_BT / temperatures).numpy()
