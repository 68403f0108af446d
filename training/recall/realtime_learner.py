"""What a realtime network learns from windows of events: at every position, what is listened to soon, and what is new.

Legend: B windows, L events, M positions with a target, N negatives, D width, V vocabulary. Knows nothing about files or
serving.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as lightning
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training import ranks
from training.recall.optimizer import optimizer_of
from training.recall.realtime_config import RealtimeConfig
from training.recall.realtime_network import TASKS, RealtimeNetwork
from training.recall.sampled_softmax import CatalogueSoftmax, FullSoftmax
from training.recall.windows import WindowSampler


class WindowLoss:
    """Every position of every window learns both tasks; `of_items` is the loss of any queries."""

    def __init__(
        self, network: RealtimeNetwork, config: RealtimeConfig, sampler: WindowSampler, is_item_V: np.ndarray
    ) -> None:
        self.network, self.settings, self._sampler = network, config, sampler
        self.of_items: CatalogueSoftmax | FullSoftmax = (
            FullSoftmax(network, is_item_V, config.label_smoothing)
            if config.softmax == "full"
            else CatalogueSoftmax(
                network, sampler.share_V, is_item_V, config.in_batch_negatives, config.uniform_negatives
            )
        )

    def batch_at(self, step: int) -> dict[str, Tensor]:
        """The windows of a step as tensors, by the names of `Windows`; of several ranks each has its own."""
        batch = self.settings.batch
        windows = self._sampler.windows(self.settings.seed, step, batch, ranks.share(batch))
        return {name: torch.from_numpy(column) for name, column in vars(windows).items()}

    def of_windows(self, place: dict[str, Tensor]) -> Tensor:
        """Weighted sum of the tasks' losses."""
        state_BLD = self._states(place)
        weights = {"next": 1.0, "new": self.settings.new_weight}
        answers = {"next": self.settings.new_share < 1, "new": self.settings.new_share > 0}
        loss = state_BLD.sum() * 0
        for task in TASKS:
            if not answers[task]:
                continue
            target_BL = place[f"{task}_BL"]
            b, at = torch.nonzero(target_BL, as_tuple=True)
            target_M, begin = ranks.joined(target_BL[b, at])
            if not len(target_M):
                continue
            # The softmax costs positions × negatives, and neighbouring positions say much the same.
            some = torch.randperm(len(target_M), generator=ranks.draws())[: self.settings.positions]
            own = some[(some >= begin) & (some < begin + len(b))] - begin
            b, at = b[own], at[own]
            query_MD = self.network.query(task, state_BLD[b, at], place["ahead_BL"][b, at])
            hard_M = place["skip_BL"][b, at] if self.settings.skip_negatives else None
            loss = loss + weights[task] * self.of_items(task, query_MD, target_BL[b, at], target_M[some], hard_M)
        return loss

    def _states(self, place: dict[str, Tensor]) -> Tensor:
        """States [B, L, D]; zeros, where `trim` left places out, in which no window has a target."""
        inputs = [place[name] for name in ("item_BL", "behaviour_BL", "gap_BL")]
        if not self.settings.trim:
            return self.network.states(*inputs)
        length_B = (place["item_BL"] > 0).sum(1)
        parts, order = [], []
        most = place["item_BL"].shape[1]
        for shortest, longest in ((0, most // 5), (most // 5, most // 2), (most // 2, most)):
            rows = torch.nonzero((length_B > shortest) & (length_B <= longest)).flatten()
            if len(rows):
                state_RLD = self.network.states(*(one[rows, :longest] for one in inputs))
                parts.append(functional.pad(state_RLD, (0, 0, 0, most - longest)))
                order.append(rows)
        return torch.cat(parts)[torch.argsort(torch.cat(order))]


class RealtimeLearner(lightning.LightningModule):
    """A realtime network with its loss and its optimizer."""

    def __init__(self, network: RealtimeNetwork, config: RealtimeConfig, loss: WindowLoss) -> None:
        super().__init__()
        self.network, self.settings, self._loss = network, config, loss

    def training_step(self, windows: dict[str, Tensor], _: int) -> Tensor:
        """Loss of the windows of a step."""
        return self._loss.of_windows(windows)

    def configure_optimizers(self) -> Any:
        """See `optimizer_of`."""
        return optimizer_of(self.network, self.settings)
