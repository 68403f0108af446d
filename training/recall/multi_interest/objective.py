"""What interests learn from: a window's first events are the history, and what was listened to later has to be found.

Legend: B windows, L events, M targets, V vocabulary. Knows nothing about files or serving.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as lightning
import numpy as np
import torch
from torch import Tensor

from sequences import behaviours
from training.engine import distributed
from training.nn.optimizer import build_optimizer
from training.nn.sampled_softmax import SampledSoftmaxLoss
from training.recall.multi_interest.config import MultiInterestConfig
from training.recall.multi_interest.model import MultiInterestNetwork
from training.recall.realtime.model import TASKS
from training.recall.window_sampler import POSITIVE_BEHAVIOURS, WindowSampler


class MultiInterestLearner(lightning.LightningModule):
    """Sampled softmax of each target against the interest of the history that suits it."""

    def __init__(
        self, network: MultiInterestNetwork, config: MultiInterestConfig, sampler: WindowSampler, is_item_V: np.ndarray
    ) -> None:
        super().__init__()
        self.network, self.settings, self._sampler = network, config, sampler
        self._loss = SampledSoftmaxLoss(
            network, sampler.target_share_V, is_item_V, config.in_batch_negatives, config.uniform_negatives
        )

    def batch_at(self, step: int) -> dict[str, Tensor]:
        """Histories `listened` [B, L], the targets of each task and what was `skipped` there [B, L]; 0: none."""
        batch = self.settings.batch
        windows = self._sampler.windows(self.settings.seed, step, batch, distributed.rank_slice(batch))
        return {
            name: torch.from_numpy(column)
            for name, column in split_windows(vars(windows), self.settings.targets_per_window).items()
        }

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Weighted sum of the tasks' losses."""
        interests = self.network.interests(batch["listened"])
        loss = interests.vector_BKD.sum() * 0
        for task, weight in zip(TASKS, (1.0, self.settings.discovery_loss_weight), strict=True):
            is_target_BL = (batch[task] > 0) & interests.is_active_BK.any(1, keepdim=True)
            row_M, positive_M = torch.nonzero(is_target_BL)[:, 0], batch[task][is_target_BL]
            target_M, _ = distributed.all_gather_rows(positive_M)
            if not len(target_M):
                continue
            query_MD = self.network.label_aware_query(task, interests, row_M, positive_M)
            hard_M = batch["skipped"][is_target_BL] if self.settings.skip_negatives else None
            loss = loss + weight * self._loss(task, query_MD, positive_M, target_M, hard_M)
        return loss

    def configure_optimizers(self) -> Any:
        """See `optimizer_of`."""
        return build_optimizer(self.network, self.settings)


def split_windows(windows: dict[str, np.ndarray], targets: int) -> dict[str, np.ndarray]:
    """Of each window, all but the last `targets` - 1 events are history (at least one is), `listened` as far as it was
    positive; targets are those of the last history event and of the events after it.
    """
    item_BL = windows["item_BL"]
    place_L = np.arange(item_BL.shape[1])
    history_B1 = np.maximum((item_BL > 0).sum(1, keepdims=True) - targets + 1, 1)
    code_of = behaviours.load_behaviours().encoder
    is_positive_BL = np.isin(windows["behaviour_BL"], [code_of[name] for name in POSITIVE_BEHAVIOURS])
    asked_BL = place_L >= history_B1 - 1
    return {
        "listened": np.where(is_positive_BL & (place_L < history_B1), item_BL, 0),
        "skipped": np.where(asked_BL, windows["skip_BL"], 0),
    } | {task: np.where(asked_BL, windows[f"{task}_BL"], 0) for task in TASKS}
