"""The network of the realtime channel: item tower, user tower, two queries.

Legend: B users, L events, M positions, D width. Knows nothing about files or
serving.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.nn.byte_dropout import ByteDropout
from training.nn.item_tower import ItemCodes, ItemTower
from training.nn.user_tower import GAP_BUCKETS, UserTower, bucketize_gap
from training.recall.realtime.config import RealtimeConfig

TASKS = ("next", "new")


class RealtimeNetwork(nn.Module):
    """A user vector for each task: `next` asks for what will be listened to, `new` for what will be heard for the
    first time.
    """

    def __init__(self, config: RealtimeConfig, codes: ItemCodes) -> None:
        super().__init__()
        self.is_cosine = config.similarity == "cosine"
        self.items = ItemTower(codes, config.width, config.id_dropout, sparse_gradients=config.softmax == "sampled")
        self.users = UserTower(
            config.width,
            config.length,
            config.pooling,
            layers=config.layers,
            heads=config.heads,
            dropout=config.dropout,
            block=config.block,
        )
        self.item_dropout = ByteDropout(config.item_dropout)
        self.query_gap = nn.Embedding(GAP_BUCKETS, config.width)
        nn.init.normal_(self.query_gap.weight, std=0.02)
        self.queries = nn.ModuleDict({task: nn.Linear(config.width, config.width) for task in TASKS})
        for query in self.queries.values():
            # Begin as "more of what just played": a query that already is the state learns to differ from it.
            for name, parameter in query.named_parameters():
                (nn.init.eye_ if name == "weight" else nn.init.zeros_)(parameter)
        scale = 1 / config.temperature if self.is_cosine else 1.0
        self.log_scale = nn.Parameter(torch.full((len(TASKS),), float(np.log(scale))), requires_grad=self.is_cosine)

    def vectors(self, items: Tensor, as_cold: bool = False) -> Tensor:
        """Item vectors as they are compared with a query; `as_cold`: see `ItemTower`."""
        return self._normalize_if_cosine(self.items(items, as_cold))

    def states_at(
        self, item_BL: Tensor, behaviour_BL: Tensor, gap_BL: Tensor, row_M: Tensor, place_M: Tensor
    ) -> Tensor:
        """What is known after some of the events, [M, D]; gaps in µs. See `UserTower.at`."""
        item_BLD = self.item_dropout(self.items(item_BL))
        return self.users.forward_at(item_BLD, behaviour_BL, bucketize_gap(gap_BL), row_M, place_M)

    def last_states(self, item_BL: Tensor, behaviour_BL: Tensor, gap_BL: Tensor, length_B: Tensor) -> Tensor:
        """What is known after the last event of each, [B, D]; see `UserTower.last`."""
        item_BLD = self.item_dropout(self.items(item_BL))
        return self.users.forward_last(item_BLD, behaviour_BL, bucketize_gap(gap_BL), length_B)

    def query(self, task: str, state_MD: Tensor, ahead_M: Tensor) -> Tensor:
        """User vectors at request time: the state, and how long ago (µs) the last event ended."""
        query_MD: Tensor = self.queries[task](state_MD + self.query_gap(bucketize_gap(ahead_M)))
        return self._normalize_if_cosine(query_MD)

    def scale(self, task: str) -> Tensor:
        """What multiplies the inner products of a task."""
        return self.log_scale[TASKS.index(task)].exp()

    def _normalize_if_cosine(self, vector: Tensor) -> Tensor:
        return functional.normalize(vector, dim=-1) if self.is_cosine else vector
