"""Configs of the neural channels, and the queries of a trained `NextItemNetwork` (`training.networks.next_item`).

`training/recipes/small.yaml` says what the fields of configs mean. Those with a default are filled in by a fit (early
stopping step, cold-item thresholds). The resolved config holds their values, so that a fit on all data repeats the choices
without validating again.

Legend: L events, V vocabulary, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

from config.dataclass_io import Section
from recommender.array_types import Floats, Ints, Weights
from recommender.nn.compiled_layers import Dense, dense, unit_rows
from recommender.nn.user_tower import GAP_BOUNDS, UserTowerProgram


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


ITEM_VECTORS, FACET_VECTORS = "item_vectors", "facet_vectors"
"""Names of further arrays among the weights, computed from them: vectors [V, D] of all items, and the mean embeddings of their
facet values."""


def part_of(weights: Weights, prefix: str) -> Weights:
    """The weights of one module, by the names in it."""
    return {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}


class NextItemProgram:
    """A trained `NextItemNetwork` for one sequence, compiled."""

    def __init__(self, config: NextItemConfig, weights: Weights) -> None:
        encoder = config.encoder
        self.users = UserTowerProgram(part_of(weights, "users."), encoder.layers, encoder.heads)
        self.vector_VD, self.query_gap_XD = weights[ITEM_VECTORS], weights["query_gap.weight"]
        self.heads = {task: Dense.of(weights, f"queries.{task}") for task in TASKS}

    def last_state(self, item_L: Ints, behavior_L: Ints, gap_L: Ints) -> Floats:
        """State [1, D] after the last of at least one event; gaps in µs."""
        return self.users.last_state(self.vector_VD[item_L], behavior_L, gap_L)

    def query(self, task: str, state_1D: Floats, query_gap: int) -> Floats:
        """Unit-length query [1, D]; see `NextItemNetwork.query`."""
        timed_1D = state_1D + self.query_gap_XD[GAP_BOUNDS.searchsorted(query_gap)]
        return unit_rows(dense(timed_1D, self.heads[task]))
