"""Fit of the multi_interest channel: windows of listens, split into a history and targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from content import FACETS
from recommender.recall.multi_interest.channel import MultiInterest
from recommender.recall.multi_interest.program import MultiInterestConfig
from recommender.recall.next_item import TASKS
from training.data.training_data import TrainingData
from training.networks.multi_interest import MultiInterestNetwork
from training.recall.neural import fit_network
from training.recall.windows import ChannelObjective, SampledSoftmaxLoss, WindowSampler


def fit(data: TrainingData, config: MultiInterestConfig, folder: Path) -> MultiInterest:
    """See `fit_network`; windows have listens only, histories followed by the positions that have targets.

    Metadata: `facet_values`, the values of all facets in the order of their numbers in `ItemCodes.facet_VF`.
    """
    length = config.encoder.history_length + config.sampling.targets_per_window - 1
    examples = WindowSampler(data, length, config.sampling, has_listens_only=True)

    def objective(network: MultiInterestNetwork, config: MultiInterestConfig) -> InterestLoss:
        return InterestLoss(network, config, examples, data.catalog_V)

    metadata = {"facet_values": [value for facet in FACETS for value in data.facets[facet][0]]}
    return fit_network(
        MultiInterest, MultiInterestNetwork, data, config, folder, examples, objective, metadata=metadata
    )


class InterestLoss(ChannelObjective):
    """Sampled softmax of each target with the interest of the history that matches it (label-aware attention).

    The first events of a window are the history, later listens are targets.
    """

    def __init__(
        self, network: MultiInterestNetwork, config: MultiInterestConfig, sampler: WindowSampler, is_item_V: np.ndarray
    ) -> None:
        self.network: MultiInterestNetwork = network
        self.config: MultiInterestConfig = config
        self._sampler = sampler
        self._loss = SampledSoftmaxLoss(network, sampler.target_share_V, is_item_V, config.loss)

    def batch_at(self, step: int) -> dict[str, Tensor]:
        """The batch of a step; see `split_windows`."""
        windows = self._sampler.windows(self.config.seed, step, self.config.sampling.batch)
        split = split_windows(windows, self.config.sampling.targets_per_window)
        return {name: torch.from_numpy(column) for name, column in split.items()}

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Weighted sum of the tasks' losses."""
        interests = self.network.interests(batch["listened"])
        loss = interests.vector_BKD.sum() * 0
        for task, weight in zip(TASKS, (1.0, self.config.loss.discovery_weight), strict=True):
            is_target_BL = (batch[task] > 0) & interests.is_active_BK.any(1, keepdim=True)
            row_M, positive_M = torch.nonzero(is_target_BL)[:, 0], batch[task][is_target_BL]
            if not len(positive_M):
                continue
            query_MD = self.network.label_aware_query(task, interests, row_M, positive_M)
            loss = loss + weight * self._loss(task, query_MD, positive_M)
        return loss


def split_windows(windows: dict[str, np.ndarray], targets: int) -> dict[str, np.ndarray]:
    """Windows of listens split into history and targets.

    Args:
        windows: See `WindowSampler.windows`.
        targets: Number of positions with targets. All but the last `targets` - 1 listens are the history, at least one.

    Returns:
        Columns [B, L], 0 = none: `listened`, the history; for each task its targets at the last listen of the history
        and at those after it.
    """
    item_BL = windows["item_BL"]
    place_L = np.arange(item_BL.shape[1])
    history_length_B1 = np.maximum((item_BL > 0).sum(1, keepdims=True) - targets + 1, 1)
    has_target_BL = place_L >= history_length_B1 - 1
    return {
        "listened": np.where(place_L < history_length_B1, item_BL, 0),
    } | {task: np.where(has_target_BL, windows[f"{task}_BL"], 0) for task in TASKS}
