"""The network of the realtime channel and how it is trained: item tower, user tower, two queries.

Legend: B users, L events, M positions with a target, N negatives, D width, V vocabulary. Knows nothing about files or
serving.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.recall.item_tower import ItemCodes, ItemTower
from training.recall.optimizer import optimizer_of
from training.recall.realtime_config import RealtimeConfig
from training.recall.sampled_softmax import expected_draws, sampled_softmax
from training.recall.user_tower import GAP_CODES, UserTower, gap_code
from training.recall.windows import WindowSampler

TASKS = ("next", "new")


class RealtimeNetwork(nn.Module):
    """A user vector for each task: `next` asks for what will be listened to, `new` for what will be heard for the
    first time.
    """

    def __init__(self, config: RealtimeConfig, codes: ItemCodes) -> None:
        super().__init__()
        self.is_cosine = config.similarity == "cosine"
        self.items = ItemTower(codes, config.width)
        self.users = UserTower(
            config.width,
            config.length,
            config.pooling,
            layers=config.layers,
            heads=config.heads,
            dropout=config.dropout,
        )
        self.item_dropout = nn.Dropout(config.item_dropout)
        self.ahead = nn.Embedding(GAP_CODES, config.width)
        nn.init.normal_(self.ahead.weight, std=0.02)
        self.queries = nn.ModuleDict({task: nn.Linear(config.width, config.width) for task in TASKS})
        for query in self.queries.values():
            # Begin as "more of what just played": a query that already is the state learns to differ from it.
            for name, parameter in query.named_parameters():
                (nn.init.eye_ if name == "weight" else nn.init.zeros_)(parameter)
        scale = 1 / config.temperature if self.is_cosine else 1.0
        self.log_scale = nn.Parameter(torch.full((len(TASKS),), float(np.log(scale))), requires_grad=self.is_cosine)

    def vectors(self, items: Tensor) -> Tensor:
        """Item vectors as they are compared with a query."""
        return self._compared(self.items(items))

    def states(self, item_BL: Tensor, behaviour_BL: Tensor, gap_BL: Tensor) -> Tensor:
        """What is known after each event, [B, L, D]; gaps in µs."""
        return self.users(self.item_dropout(self.items(item_BL)), behaviour_BL, gap_code(gap_BL))  # type: ignore[no-any-return]

    def query(self, task: str, state_MD: Tensor, ahead_M: Tensor) -> Tensor:
        """User vectors at request time: the state, and how long ago (µs) the last event ended."""
        query_MD: Tensor = self.queries[task](state_MD + self.ahead(gap_code(ahead_M)))
        return self._compared(query_MD)

    def scale(self, task: str) -> Tensor:
        """What multiplies the inner products of a task."""
        return self.log_scale[TASKS.index(task)].exp()

    def _compared(self, vector: Tensor) -> Tensor:
        return functional.normalize(vector, dim=-1) if self.is_cosine else vector


class RealtimeLearner(lightning.LightningModule):
    """Every position of every window learns both tasks by sampled softmax; in-batch negatives of a task are its own
    targets.
    """

    def __init__(
        self, network: RealtimeNetwork, config: RealtimeConfig, sampler: WindowSampler, is_item_V: np.ndarray
    ) -> None:
        super().__init__()
        self.network, self.settings, self._sampler = network, config, sampler
        self._catalogue = torch.from_numpy(np.flatnonzero(is_item_V))
        share_V = torch.from_numpy(sampler.share_V.astype(np.float32))
        self._log_draws_V = expected_draws(
            share_V, torch.from_numpy(is_item_V), config.in_batch_negatives, config.uniform_negatives
        )

    def batch_at(self, step: int) -> dict[str, Tensor]:
        """The windows of a step as tensors, by the names of `Windows`."""
        windows = self._sampler.windows(self.settings.seed, step, self.settings.batch)
        return {name: torch.from_numpy(column) for name, column in vars(windows).items()}

    def training_step(self, place: dict[str, Tensor], _: int) -> Tensor:
        """Weighted sum of the tasks' losses."""
        state_BLD = self.network.states(place["item_BL"], place["behaviour_BL"], place["gap_BL"])
        weights = {"next": 1.0, "new": self.settings.new_weight}
        loss = state_BLD.sum() * 0
        for task in TASKS:
            target_BL = place[f"{task}_BL"]
            b, at = torch.nonzero(target_BL, as_tuple=True)
            if not len(b):
                continue
            # The softmax costs positions × negatives, and neighbouring positions say much the same.
            some = torch.randperm(len(b))[: self.settings.positions]
            b, at = b[some], at[some]
            query_MD = self.network.query(task, state_BLD[b, at], place["ahead_BL"][b, at])
            loss = loss + weights[task] * self._loss(task, query_MD, target_BL[b, at])
        return loss

    def _loss(self, task: str, query_MD: Tensor, positive_M: Tensor) -> Tensor:
        config = self.settings
        some = torch.randint(len(positive_M), (config.in_batch_negatives,))
        any_item = torch.randint(len(self._catalogue), (config.uniform_negatives,))
        negative_N = torch.cat([positive_M[some], self._catalogue[any_item].to(self.device)])
        return sampled_softmax(
            query_MD,
            self.network.vectors(positive_M),
            self.network.vectors(negative_N),
            positive_M,
            negative_N,
            log_draws_V=self._log_draws_V.to(self.device),
            scale=self.network.scale(task),
        )

    def configure_optimizers(self) -> Any:
        """See `optimizer_of`."""
        return optimizer_of(self.network, self.settings)
