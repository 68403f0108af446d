"""Configs of the neural channels, and the two-tower network over event sequences: item tower, user tower, query heads.

The realtime channel is this network; the long_short channel uses it as its short-term encoder.
`training/recipes/small.yaml` says what the fields of configs mean. Those with a default are filled in by a fit (early
stopping step, cold-item thresholds). The resolved config holds their values, so that a fit on all data repeats the choices
without validating again.

Legend: B users, L events, M positions, D width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from config.dataclass_io import Section
from recommender.array_types import Floats, Ints
from recommender.nn.compiled_layers import Dense, dense, to_array, unit_rows
from recommender.nn.item_tower import ItemCodes, ItemTower
from recommender.nn.user_tower import GAP_BOUNDS, GAP_BUCKETS, ByteDropout, UserTower, UserTowerProgram, bucketize_gap


@dataclass(frozen=True)
class ItemTowerConfig(Section):
    """Item embeddings: own vector, artist, facets and content of a track; see `ItemTower`."""

    width: int
    min_plays: int
    item_dropout: float
    id_dropout: float
    modality_dropout: float


@dataclass(frozen=True)
class SequenceEncoderConfig(Section):
    """User tower over the most recent events (SASRec-style causal self-attention)."""

    history_length: int
    layers: int
    heads: int
    dropout: float


@dataclass(frozen=True)
class SamplingConfig(Section):
    """Sampling of training examples."""

    batch: int
    user_sampling_exponent: float
    horizon: int


@dataclass(frozen=True)
class WindowSamplingConfig(SamplingConfig):
    """Sampling of event windows in which every position may have a target; see `WindowSampler`."""

    positions_per_batch: int


@dataclass(frozen=True)
class SampledSoftmaxConfig(Section):
    """Sampled softmax with logQ correction; see `SampledSoftmaxLoss`."""

    temperature: float
    in_batch_negatives: int
    uniform_negatives: int
    discovery_weight: float


@dataclass(frozen=True)
class OptimizerConfig(Section):
    """AdamW with linear warm-up and linear decay; see `build_optimizer`."""

    learning_rate: float
    weight_decay: float
    warmup: int
    steps: int
    max_passes: float | None = None


@dataclass(frozen=True)
class EarlyStoppingConfig(Section):
    """Validation during training. Training stops when the validation objective stops improving."""

    validate_every: int
    patience: int
    cases_per_user: int
    eval_cutoffs: tuple[int, int]
    early_stopping_step: int | None = None  # train exactly this many steps; None: chosen on validation


@dataclass(frozen=True)
class VectorIndexConfig(Section):
    """Nearest-neighbor search over item vectors, and the score threshold of cold items; see `ColdStartIndex`."""

    exact_up_to: int | None
    cold_item_quantile: float
    cold_item_thresholds: dict[str, float] | None = None  # minimum score by task; None: computed on validation


@dataclass(frozen=True)
class NeuralChannelConfig(Section):
    """Fields that every neural channel has. Channels add their encoder, sampling and loss."""

    items: ItemTowerConfig
    optimizer: OptimizerConfig
    validation: EarlyStoppingConfig
    index: VectorIndexConfig
    sampling: SamplingConfig
    seed: int


TASKS = ("next", "new")
"""Tasks of a query: `next` retrieves any track that will be listened to, `new` tracks not listened to before."""


@dataclass(frozen=True)
class NextItemConfig(NeuralChannelConfig):
    """Configuration of a channel with a `NextItemNetwork`."""

    encoder: SequenceEncoderConfig
    sampling: WindowSamplingConfig
    loss: SampledSoftmaxConfig


class RecallNetwork(nn.Module, ABC):
    """Network of a neural channel. Its item vectors are indexed, and its queries are compared with them."""

    reads_facets: ClassVar[bool] = False
    """Whether the program needs `ItemTower.facet_rows`."""
    items: ItemTower

    def vectors(self, items: Tensor, as_cold: bool = False) -> Tensor:
        """Unit-length item vectors [..., D]; with `as_cold`, computed from content only (see `ItemTower`)."""
        return functional.normalize(self.items(items, as_cold), dim=-1)

    @abstractmethod
    def program(self) -> Any:
        """The network with its present weights for one request at a time, compiled: see `compiled_layers`."""


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

    def last_state(self, item_L: Ints, behavior_L: Ints, gap_L: Ints) -> Floats:
        """State [1, D] after the last of at least one event; gaps in µs."""
        return self.users.last_state(self.items.rows(item_L), behavior_L, gap_L)

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
