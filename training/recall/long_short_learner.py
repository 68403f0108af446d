"""What the long_short network learns from a session: which remembered tracks come again, and what it would listen to.

Legend: B sessions, M remembered tracks, T targets, P positives, N negatives. Knows nothing about files.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as lightning
import numpy as np
import torch
from torch import Tensor

from training.recall.long_short_cases import Sessions, SessionSampler
from training.recall.long_short_config import LongShortConfig
from training.recall.long_short_network import Interests, LongShortNetwork
from training.recall.optimizer import optimizer_of
from training.recall.sampled_softmax import expected_draws, sampled_softmax


class LongShortLearner(lightning.LightningModule):
    """Loss: softmax over what is remembered, and `item_weight` times the sampled softmax of both item queries."""

    def __init__(
        self, network: LongShortNetwork, config: LongShortConfig, sampler: SessionSampler, is_item_V: np.ndarray
    ) -> None:
        super().__init__()
        self.network, self.settings, self._sampler = network, config, sampler
        self._catalogue = torch.from_numpy(np.flatnonzero(is_item_V))
        share_V = torch.from_numpy(sampler.share_V.astype(np.float32))
        self._log_draws_V = expected_draws(
            share_V, torch.from_numpy(is_item_V), config.in_batch_negatives, config.uniform_negatives
        )

    def batch_at(self, step: int) -> Sessions:
        """The sessions of a step."""
        return self._sampler.sessions(self.settings.seed, step, self.settings.batch)

    def training_step(self, batch: Sessions, _: int) -> Tensor:
        """Sum of the losses."""
        interests = self.network.interests(batch.requests)
        score_BM = self.network.repeat_scores(batch.requests, interests)
        loss = repeat_loss(score_BM, batch.is_repeated_BM)
        for task, chosen_BT in (("listen", batch.target_BT > 0), ("new", batch.is_new_BT)):
            loss = loss + self.settings.item_weight * self._item_loss(task, interests, batch.target_BT, chosen_BT)
        return loss

    def transfer_batch_to_device(self, batch: Sessions, device: torch.device, dataloader_idx: int) -> Sessions:  # noqa: ARG002
        """Lightning's own way cannot rebuild frozen dataclasses."""
        return batch.to(device)

    def configure_optimizers(self) -> Any:
        """See `optimizer_of`."""
        return optimizer_of(self.network, self.settings)

    def _item_loss(self, task: str, interests: Interests, target_BT: Tensor, chosen_BT: Tensor) -> Tensor:
        row_P, _ = torch.nonzero(chosen_BT, as_tuple=True)
        positive_P = target_BT[chosen_BT]
        if not len(positive_P):
            return interests.out_BD.sum() * 0
        some = torch.randint(len(positive_P), (self.settings.in_batch_negatives,))
        any_item = torch.randint(len(self._catalogue), (self.settings.uniform_negatives,))
        negative_N = torch.cat([positive_P[some], self._catalogue[any_item].to(self.device)])
        return sampled_softmax(
            self.network.query(task, interests)[row_P],
            self.network.vectors(positive_P),
            self.network.vectors(negative_N),
            positive_P,
            negative_N,
            log_draws_V=self._log_draws_V.to(self.device),
            scale=self.network.scale(),
        )


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
