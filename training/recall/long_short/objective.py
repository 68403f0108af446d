"""Training module of the long_short channel: which tracks are repeated in a session, and which items are listened to.

Legend: B sessions, M repeat items, T targets, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from training.engine.trainer import Objective
from training.nn.optimizer import build_optimizer
from training.recall.long_short.config import LongShortConfig
from training.recall.long_short.data import SessionBatch, SessionSampler
from training.recall.long_short.model import LongShortNetwork
from training.recall.window_loss import WindowLoss


class LongShortLearner(Objective):
    """Repeat loss plus `item_weight` times two item losses.

    The repeat loss is a softmax over the repeat items. The item losses are a sampled softmax of the session's targets
    with the gated interest as the query, and the window loss of the short-term encoder, as in the realtime channel.
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
        """The sessions and windows of a step."""
        sessions = self._sessions.sessions(self.settings.seed, step, self.settings.sampling.batch)
        return sessions, self._windows.batch_at(step)

    def training_step(self, batch: tuple[SessionBatch, dict[str, Tensor]], _: int) -> Tensor:
        """Sum of the losses."""
        sessions, windows = batch
        interests = self.network.interests(sessions.requests)
        score_BM = self.network.repeat_scores(sessions.requests, interests)
        item_loss = self._windows.compute_window_loss(windows)
        for task, is_target_BT in (("next", sessions.target_BT > 0), ("new", sessions.is_new_BT)):
            row_M, positive_M = torch.nonzero(is_target_BT)[:, 0], sessions.target_BT[is_target_BT]
            if len(positive_M):
                query_MD = self.network.query(task, sessions.requests, interests)[row_M]
                item_loss = item_loss + self._windows.item_loss(task, query_MD, positive_M)
        repeated = repeat_loss(score_BM, sessions.is_repeated_BM)
        return repeated + self.settings.loss.item_weight * item_loss

    def configure_optimizers(self) -> tuple[Optimizer, LRScheduler]:
        """See `build_optimizer`."""
        return build_optimizer(self.network, self.settings.optimizer)


def repeat_loss(score_BM: Tensor, is_repeated_BM: Tensor) -> Tensor:
    """Cross-entropy of a softmax over the repeat items, with the target spread evenly over those that were repeated.

    Mean over the sessions with at least one repeated item; 0 if there is none.
    """
    has_repeat_B = is_repeated_BM.any(-1)
    if not bool(has_repeat_B.any()):
        return score_BM.nan_to_num(neginf=0.0).sum() * 0
    score, is_repeated = score_BM[has_repeat_B], is_repeated_BM[has_repeat_B]
    log_share = score.log_softmax(-1).masked_fill(~is_repeated, 0.0)
    return -(log_share.sum(-1) / is_repeated.sum(-1)).mean()
