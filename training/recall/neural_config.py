"""Config dataclasses that the neural channels share; `training/recipes/small.yaml` says what their fields mean.

Fields with a default are filled in by a fit (early stopping step, cold-item thresholds). The resolved config
holds their values, so that a fit on all data repeats the choices without validating again.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.content.track_content import ContentUse
from training.engine.config_io import Section


@dataclass(frozen=True)
class ItemTowerConfig(Section):
    """Item embeddings: own vector, artist, facets and content of a track; see `ItemTower`."""

    width: int
    min_plays: int
    item_dropout: float
    reads_artists: bool
    content: ContentUse
    id_dropout: float
    excluded_content: tuple[str, ...]
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
    max_cases: int | None
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
