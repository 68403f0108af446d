"""Training module of the multi_interest channel: the first events of a window are the history, later listens are
targets.

Legend: B windows, L events, M targets, V vocabulary.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from training.engine.trainer import Objective
from training.nn.optimizer import build_optimizer
from training.nn.sampled_softmax import SampledSoftmaxLoss
from training.recall.multi_interest.config import MultiInterestConfig
from training.recall.multi_interest.model import MultiInterestNetwork
from training.recall.next_item_network import TASKS
from training.recall.window_sampler import WindowSampler


class MultiInterestLearner(Objective):
    """Sampled softmax of each target with the interest of the history that matches it (label-aware attention)."""

    def __init__(
        self, network: MultiInterestNetwork, config: MultiInterestConfig, sampler: WindowSampler, is_item_V: np.ndarray
    ) -> None:
        super().__init__()
        self.network, self.settings, self._sampler = network, config, sampler
        loss = config.loss
        self._loss = SampledSoftmaxLoss(
            network, sampler.target_share_V, is_item_V, loss.in_batch_negatives, loss.uniform_negatives
        )

    def batch_at(self, step: int) -> dict[str, Tensor]:
        """The batch of a step; see `split_windows`."""
        windows = self._sampler.windows(self.settings.seed, step, self.settings.sampling.batch)
        split = split_windows(vars(windows), self.settings.sampling.targets_per_window)
        return {name: torch.from_numpy(column) for name, column in split.items()}

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Weighted sum of the tasks' losses."""
        interests = self.network.interests(batch["listened"])
        loss = interests.vector_BKD.sum() * 0
        for task, weight in zip(TASKS, (1.0, self.settings.loss.discovery_weight), strict=True):
            is_target_BL = (batch[task] > 0) & interests.is_active_BK.any(1, keepdim=True)
            row_M, positive_M = torch.nonzero(is_target_BL)[:, 0], batch[task][is_target_BL]
            if not len(positive_M):
                continue
            query_MD = self.network.label_aware_query(task, interests, row_M, positive_M)
            loss = loss + weight * self._loss(task, query_MD, positive_M)
        return loss

    def configure_optimizers(self) -> tuple[Optimizer, LRScheduler]:
        """See `build_optimizer`."""
        return build_optimizer(self.network, self.settings.optimizer)


def split_windows(windows: dict[str, np.ndarray], targets: int) -> dict[str, np.ndarray]:
    """Windows of listens split into history and targets.

    Args:
        windows: Columns [B, L] by the field names of `Windows`.
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
