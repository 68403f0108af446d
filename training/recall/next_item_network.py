"""Two-tower network over event sequences: item tower, user tower and one query head per task.

The realtime channel is this network; the long_short channel uses it as its short-term encoder. Legend: B users, L
events, M positions, D width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.nn.byte_dropout import ByteDropout
from training.nn.compiled_layers import Dense, Floats, dense, to_array, unit_rows
from training.nn.item_tower import ItemCodes, ItemTower
from training.nn.user_tower import GAP_BOUNDS, GAP_BUCKETS, Ints, UserTower, UserTowerProgram, bucketize_gap
from training.recall.neural_config import ItemTowerConfig, SequenceEncoderConfig

TASKS = ("next", "new")
"""Tasks of a query: `next` retrieves any track that will be listened to, `new` tracks not listened to before."""


class RecallNetwork(nn.Module, ABC):
    """Network of a neural channel. Its item vectors are indexed, and its queries are compared with them."""

    item_codes_prefix: ClassVar[str]
    """Prefix of the item codes in `state_dict()`."""

    @property
    @abstractmethod
    def item_codes(self) -> ItemCodes:
        """Input codes of the item tower for every track of the vocabulary."""

    @abstractmethod
    def vectors(self, items: Tensor, as_cold: bool = False) -> Tensor:
        """Unit-length item vectors [..., D]; with `as_cold`, computed from content only (see `ItemTower`)."""

    @abstractmethod
    def program(self) -> Any:
        """The network with its present weights for one request at a time, compiled: see `compiled_layers`."""

    def precompute_items(self) -> None:
        """Compute what depends on items and weights only, for weights that do not change any more."""
        for module in self.modules():
            if isinstance(module, ItemTower):
                module.precompute()


class NextItemNetwork(RecallNetwork):
    """A state after each event, and for each task a query computed from the state and the time until the request.

    Args:
        items: Config of the item tower.
        encoder: Config of the user tower.
        temperature: Initial temperature of the cosine logits of both tasks.
        codes: Input codes of the item tower.
    """

    item_codes_prefix = "items.codes."

    def __init__(
        self,
        items: ItemTowerConfig,
        encoder: SequenceEncoderConfig,
        temperature: float,
        codes: ItemCodes,
    ) -> None:
        super().__init__()
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
        self.log_scale = nn.Parameter(torch.full((len(TASKS),), float(np.log(1 / temperature))))

    @property
    def item_codes(self) -> ItemCodes:
        """See `RecallNetwork`."""
        return self.items.codes

    def vectors(self, items: Tensor, as_cold: bool = False) -> Tensor:
        """See `RecallNetwork`."""
        return functional.normalize(self.items(items, as_cold), dim=-1)

    def states_at(
        self, item_BL: Tensor, behaviour_BL: Tensor, gap_BL: Tensor, row_M: Tensor, place_M: Tensor
    ) -> Tensor:
        """States [M, D] after some of the events; gaps in µs. See `UserTower.forward_at`."""
        item_BLD = self.item_dropout(self.items(item_BL))
        return self.users.forward_at(item_BLD, behaviour_BL, bucketize_gap(gap_BL), row_M, place_M)

    def last_states(self, item_BL: Tensor, behaviour_BL: Tensor, gap_BL: Tensor, length_B: Tensor) -> Tensor:
        """State [B, D] after the last event of each sequence, or at the first position of an empty one; gaps in µs."""
        row_B, last_B = torch.arange(len(item_BL), device=item_BL.device), (length_B - 1).clamp(min=0)
        return self.states_at(item_BL, behaviour_BL, gap_BL, row_B, last_B)

    def query(self, task: str, state_MD: Tensor, query_gap_M: Tensor) -> Tensor:
        """Unit-length queries [M, D] at request time.

        Args:
            task: One of TASKS.
            state_MD: State after the last event.
            query_gap_M: Time from the end of the last event to the request, in µs.
        """
        query_MD: Tensor = self.queries[task](state_MD + self.query_gap(bucketize_gap(query_gap_M)))
        return functional.normalize(query_MD, dim=-1)

    def program(self) -> NextItemProgram:
        """See `RecallNetwork`."""
        return NextItemProgram(self)

    def scale(self, task: str) -> Tensor:
        """Factor on the inner products of a task (1 / temperature)."""
        return self.log_scale[TASKS.index(task)].exp()


class NextItemProgram:
    """A trained `NextItemNetwork` for one sequence, compiled."""

    def __init__(self, network: NextItemNetwork) -> None:
        self.items, self.users = network.items, UserTowerProgram(network.users)
        self.query_gap_XD = to_array(network.query_gap.weight)
        self.heads = {task: Dense.of(cast(nn.Linear, network.queries[task])) for task in TASKS}

    def last_state(self, item_L: Ints, behaviour_L: Ints, gap_L: Ints) -> Floats:
        """State [1, D] after the last of at least one event; gaps in µs."""
        return self.users.last_state(self.items.rows(item_L), behaviour_L, gap_L)

    def query(self, task: str, state_1D: Floats, query_gap: int) -> Floats:
        """Unit-length query [1, D]; see `NextItemNetwork.query`."""
        timed_1D = state_1D + self.query_gap_XD[GAP_BOUNDS.searchsorted(query_gap)]
        return unit_rows(dense(timed_1D, self.heads[task]))


def build_query_heads(width: int) -> nn.ModuleDict:
    """One linear layer per task, initialized to the identity, so that the initial query is the state itself."""
    heads = nn.ModuleDict({task: nn.Linear(width, width) for task in TASKS})
    for head in heads.values():
        for name, parameter in head.named_parameters():
            (nn.init.eye_ if name == "weight" else nn.init.zeros_)(parameter)
    return heads
