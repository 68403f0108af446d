"""The two-tower network over event sequences: item tower, user tower, query heads.

The realtime channel is this network; the long_short channel uses it as its short-term encoder.

Legend: B users, L events, M positions, V vocabulary, D width.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recommender.array_types import Array
from recommender.nn.user_tower import GAP_BUCKETS
from recommender.recall.next_item import FACET_VECTORS, ITEM_VECTORS, TASKS, NextItemConfig
from training.networks.item_tower import ITEMS_PER_CHUNK, ItemCodes, ItemTower
from training.networks.user_tower import ByteDropout, UserTower, bucketize_gap


class RecallNetwork(nn.Module):
    """Network of a neural channel. Its item vectors are indexed, and its queries are compared with them."""

    reads_facets: ClassVar[bool] = False
    """Whether the program needs the facet vectors."""
    items: ItemTower

    def vectors(self, items: Tensor, as_cold: bool = False) -> Tensor:
        """Unit-length item vectors [..., D]; with `as_cold`, computed from content only (see `ItemTower`)."""
        return functional.normalize(self.items(items, as_cold), dim=-1)

    @torch.no_grad()
    def export(self) -> dict[str, Array]:
        """The present weights, and the vectors computed from them, for a network in evaluation mode."""
        weights = {name: tensor.detach().contiguous().numpy() for name, tensor in self.state_dict().items()}
        chunks = torch.arange(len(self.items.codes.track_V)).split(ITEMS_PER_CHUNK)
        weights[ITEM_VECTORS] = torch.cat([self.items(chunk) for chunk in chunks]).numpy()
        if self.reads_facets:
            weights[FACET_VECTORS] = torch.cat([self.items.facet_embedding(chunk) for chunk in chunks]).numpy()
        return weights


class NextItemNetwork(RecallNetwork):
    """A state after each event, and for each task a query computed from the state and the time until the request."""

    def __init__(self, config: NextItemConfig, codes: ItemCodes) -> None:
        super().__init__()
        items, encoder = config.items, config.encoder
        self.items = ItemTower(codes, items.width, items.id_dropout, items.modality_dropout, sparse_gradients=True)
        self.users = UserTower(
            items.width,
            encoder.history_length,
            layers=encoder.layers,
            heads=encoder.heads,
            dropout=encoder.dropout,
        )
        self.item_dropout = ByteDropout(items.item_dropout)
        self.query_gap = nn.Embedding(GAP_BUCKETS, items.width)
        nn.init.normal_(self.query_gap.weight, std=0.02)
        self.queries = build_query_heads(items.width)
        self.log_scale = nn.Parameter(torch.full((len(TASKS),), float(np.log(1 / config.loss.temperature))))

    def states_at(self, item_BL: Tensor, behavior_BL: Tensor, gap_BL: Tensor, row_M: Tensor, place_M: Tensor) -> Tensor:
        """States [M, D] after some of the events; gaps in µs. See `UserTower`."""
        item_BLD = self.item_dropout(self.items(item_BL))
        return self.users(item_BLD, behavior_BL, bucketize_gap(gap_BL), row_M, place_M)

    def last_states(self, item_BL: Tensor, behavior_BL: Tensor, gap_BL: Tensor, length_B: Tensor) -> Tensor:
        """State [B, D] after the last event of each sequence, or at the first position of an empty one; gaps in µs."""
        row_B, last_B = torch.arange(len(item_BL), device=item_BL.device), (length_B - 1).clamp(min=0)
        return self.states_at(item_BL, behavior_BL, gap_BL, row_B, last_B)

    def query(self, task: str, state_MD: Tensor, query_gap_M: Tensor) -> Tensor:
        """Unit-length queries [M, D] at request time.

        Args:
            task: One of TASKS.
            state_MD: State after the last event.
            query_gap_M: Time from the end of the last event to the request, in µs.
        """
        query_MD: Tensor = self.queries[task](state_MD + self.query_gap(bucketize_gap(query_gap_M)))
        return functional.normalize(query_MD, dim=-1)

    def scale(self, task: str) -> Tensor:
        """Factor on the inner products of a task (1 / temperature)."""
        return self.log_scale[TASKS.index(task)].exp()


def build_query_heads(width: int) -> nn.ModuleDict:
    """One linear layer per task, initialized to the identity, so that the initial query is the state itself."""
    heads = nn.ModuleDict({task: nn.Linear(width, width) for task in TASKS})
    for head in heads.values():
        for name, parameter in head.named_parameters():
            (nn.init.eye_ if name == "weight" else nn.init.zeros_)(parameter)
    return heads
