"""What the long_short network learns from a session: which remembered tracks come again, and what it would listen to.

Legend: B sessions, M remembered tracks, T targets, D width. Knows nothing about files.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as lightning
import torch
from torch import Tensor

from training.engine import distributed
from training.nn.optimizer import build_optimizer
from training.recall.long_short.config import LongShortConfig
from training.recall.long_short.data import SessionBatch, SessionSampler
from training.recall.long_short.model import LongShortNetwork
from training.recall.realtime.objective import WindowLoss


class LongShortLearner(lightning.LightningModule):
    """Loss: softmax over what is remembered; `item_weight` times that of what the gated interest should find in the
    catalogue, and times that of the windows, from which the short-term part learns as the realtime channel does.
    """

    def __init__(
        self,
        network: LongShortNetwork,
        config: LongShortConfig,
        sessions: SessionSampler,
        windows: WindowLoss,
    ) -> None:
        super().__init__()
        self.network, self.settings, self._sessions, self._windows = network, config, sessions, windows

    def batch_at(self, step: int) -> tuple[SessionBatch, dict[str, Tensor]]:
        """The sessions and the windows of a step."""
        batch = self.settings.batch
        sessions = self._sessions.sessions(self.settings.seed, step, batch, distributed.rank_slice(batch))
        return sessions, self._windows.batch_at(step)

    def training_step(self, batch: tuple[SessionBatch, dict[str, Tensor]], _: int) -> Tensor:
        """Sum of the losses."""
        sessions, windows = batch
        interests = self.network.interests(sessions.requests)
        score_BM = self.network.repeat_scores(sessions.requests, interests)
        found = self._windows.compute_window_loss(windows)
        for task, is_chosen_BT in (("next", sessions.target_BT > 0), ("new", sessions.is_new_BT)):
            row_M, positive_M = torch.nonzero(is_chosen_BT)[:, 0], sessions.target_BT[is_chosen_BT]
            target_M, _ = distributed.all_gather_rows(positive_M)
            if len(target_M):
                query_MD = self.network.query(task, sessions.requests, interests)[row_M]
                found = found + self._windows.item_loss(task, query_MD, positive_M, target_M)
        repeated = distributed.weight_for_global_mean(
            repeat_loss(score_BM, sessions.is_repeated_BM), sessions.is_repeated_BM.any(-1).sum()
        )
        return repeated + self.settings.item_loss_weight * found

    def transfer_batch_to_device(
        self,
        batch: tuple[SessionBatch, dict[str, Tensor]],
        device: torch.device,
        dataloader_idx: int,  # noqa: ARG002
    ) -> tuple[SessionBatch, dict[str, Tensor]]:
        """Lightning's own way cannot rebuild frozen dataclasses."""
        sessions, windows = batch
        return sessions.to(device), {name: tensor.to(device) for name, tensor in windows.items()}

    def configure_optimizers(self) -> Any:
        """See `optimizer_of`."""
        return build_optimizer(self.network, self.settings)


def repeat_loss(score_BM: Tensor, is_repeated_BM: Tensor) -> Tensor:
    """Cross-entropy of a softmax over the remembered tracks, its target spread evenly over those that came again.

    Mean over the sessions in which one did; 0 if there is none.
    """
    has_B = is_repeated_BM.any(-1)
    if not bool(has_B.any()):
        return score_BM.nan_to_num(neginf=0.0).sum() * 0
    score, is_repeated = score_BM[has_B], is_repeated_BM[has_B]
    log_share = score.log_softmax(-1).masked_fill(~is_repeated, 0.0)
    return -(log_share.sum(-1) / is_repeated.sum(-1)).mean()
