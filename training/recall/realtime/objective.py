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

from training.engine import distributed
from training.nn.optimizer import build_optimizer
from training.nn.sampled_softmax import FullSoftmaxLoss, SampledSoftmaxLoss
from training.recall.realtime.config import RealtimeConfig
from training.recall.realtime.model import TASKS, RealtimeNetwork
from training.recall.window_sampler import WindowSampler


class WindowLoss:
    """Every position of every window learns both tasks; `of_items` is the loss of any queries."""

    def __init__(
        self, network: RealtimeNetwork, config: RealtimeConfig, sampler: WindowSampler, is_item_V: np.ndarray
    ) -> None:
        self.network, self.settings, self._sampler = network, config, sampler
        self.item_loss: SampledSoftmaxLoss | FullSoftmaxLoss = (
            FullSoftmaxLoss(network, is_item_V, config.label_smoothing)
            if config.softmax == "full"
            else SampledSoftmaxLoss(
                network, sampler.target_share_V, is_item_V, config.in_batch_negatives, config.uniform_negatives
            )
        )

    def batch_at(self, step: int) -> dict[str, Tensor]:
        """The windows of a step as tensors, by the names of `Windows`; of several ranks each has its own."""
        batch = self.settings.batch
        windows = self._sampler.windows(self.settings.seed, step, batch, distributed.rank_slice(batch))
        return {name: torch.from_numpy(column) for name, column in vars(windows).items()}

    def compute_window_loss(self, windows: dict[str, Tensor]) -> Tensor:
        """Weighted sum of the tasks' losses."""
        flat = {name: column.flatten() for name, column in windows.items()}
        weights, new_share = {"next": 1.0, "new": self.settings.discovery_loss_weight}, self.settings.discovery_share
        learned = {"next": new_share < 1, "new": new_share > 0}
        drawn = {task: self._sample_positions(flat[f"{task}_BL"]) for task in TASKS if learned[task]}
        # A place of both tasks is computed once.
        place_P, at_M = torch.cat([place_M for place_M, _ in drawn.values()]).unique(return_inverse=True)
        state_PD = self._encode_positions(windows, place_P)
        loss = state_PD.sum() * 0
        for task, (place_M, target_T) in drawn.items():
            own_M, at_M = at_M.tensor_split([len(place_M)])
            if not len(target_T):
                continue
            query_MD = self.network.query(task, state_PD[own_M], flat["query_gap_BL"][place_M])
            hard_M = flat["skip_BL"][place_M] if self.settings.skip_negatives else None
            loss = loss + weights[task] * self.item_loss(task, query_MD, flat[f"{task}_BL"][place_M], target_T, hard_M)
        return loss

    def _sample_positions(self, target_F: Tensor) -> tuple[Tensor, Tensor]:
        """Of the F places of a batch those with a target that learn it, as places of this rank; the targets of those of all
        ranks. The softmax costs positions × negatives, and neighbouring positions say much the same.
        """
        place_M = torch.nonzero(target_F).flatten()
        target_T, begin = distributed.all_gather_rows(target_F[place_M])
        some = torch.randperm(len(target_T), generator=distributed.shared_generator())[
            : self.settings.positions_per_batch
        ]
        own = some[(some >= begin) & (some < begin + len(place_M))] - begin
        return place_M[own], target_T[some]

    def _encode_positions(self, windows: dict[str, Tensor], place_P: Tensor) -> Tensor:
        """States [P, D] at places of the batch, ascending."""
        item_BL, behaviour_BL, gap_BL = (windows[name] for name in ("item_BL", "behaviour_BL", "gap_BL"))
        most = item_BL.shape[1]
        row_P, of_row_P = place_P // most, place_P % most
        if not self.settings.length_bucketing:
            return self.network.states_at(item_BL, behaviour_BL, gap_BL, row_P, of_row_P)
        length_B = (item_BL > 0).sum(1)
        parts, order = [row_P.new_zeros((0, self.settings.width), dtype=torch.float32)], [row_P[:0]]
        for shortest, longest in ((0, most // 5), (most // 5, most // 2), (most // 2, most)):
            is_here_B = (length_B > shortest) & (length_B <= longest)
            mine = torch.nonzero(is_here_B[row_P]).flatten()
            if len(mine):
                row_M = (is_here_B.cumsum(0) - 1)[row_P[mine]]
                items, behaviours, gaps = (one[is_here_B, :longest] for one in (item_BL, behaviour_BL, gap_BL))
                parts.append(self.network.states_at(items, behaviours, gaps, row_M, of_row_P[mine]))
                order.append(mine)
        return torch.cat(parts)[torch.argsort(torch.cat(order))]


class RealtimeLearner(lightning.LightningModule):
    """A realtime network with its loss and its optimizer."""

    def __init__(self, network: RealtimeNetwork, config: RealtimeConfig, loss: WindowLoss) -> None:
        super().__init__()
        self.network, self.settings, self._loss = network, config, loss

    def training_step(self, windows: dict[str, Tensor], _: int) -> Tensor:
        """Loss of the windows of a step."""
        return self._loss.compute_window_loss(windows)

    def configure_optimizers(self) -> Any:
        """See `optimizer_of`."""
        return build_optimizer(self.network, self.settings)
