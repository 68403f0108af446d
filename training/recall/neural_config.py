"""Config dataclasses that the neural channels share. A recipe is a function that returns one composed config.

Fields that a fit fills in (early stopping step, cold-item thresholds) are None in a recipe. The resolved
config holds their values, so that a fit on all data repeats the choices without validating again.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.content.track_content import ContentUse

EXACT_SEARCH_LIMIT = 200_000
"""Distinct vectors up to which recipe `full` searches exactly (ADR 0021)."""


@dataclass(frozen=True)
class ItemTowerConfig:
    """Item embeddings: own vector, artist, facets and content of a track; see `ItemTower`."""

    width: int = 64  # D: embedding size
    min_plays: int = 5  # tracks played less often share one embedding
    item_dropout: float = 0.1  # fraction of item-embedding coordinates dropped in histories
    reads_artists: bool = True  # False: as if the artist of every track were unknown
    content: ContentUse = "described"  # which tracks' content is used; see `training.content.track_content`
    id_dropout: float = 0.3  # fraction of tracks with content that are treated as cold in training
    excluded_content: tuple[
        str, ...
    ] = ()  # contents that are not used, of `BLOCKS` in `training.content.track_content`
    modality_dropout: float = 0.3  # fraction of the contents of tracks (texts, audio, cover, names) dropped in training


@dataclass(frozen=True)
class SequenceEncoderConfig:
    """User tower over the most recent events (SASRec-style causal self-attention)."""

    history_length: int = 64  # L: most recent events that the encoder reads
    layers: int = 2
    heads: int = 2
    dropout: float = 0.1


@dataclass(frozen=True)
class SamplingConfig:
    """Sampling of training examples."""

    batch: int = 64  # B: examples per step
    user_sampling_exponent: float = 0.5  # users are drawn with probability proportional to examples ** exponent
    horizon: int = 10  # a target is one of the next `horizon` listened tracks


@dataclass(frozen=True)
class WindowSamplingConfig(SamplingConfig):
    """Sampling of event windows in which every position may have a target; see `WindowSampler`."""

    positions_per_batch: int = 1024  # M: randomly drawn positions per batch that contribute to the loss of each task


@dataclass(frozen=True)
class SampledSoftmaxConfig:
    """Sampled softmax with logQ correction; see `SampledSoftmaxLoss`."""

    temperature: float = 0.07  # initial temperature of the cosine logits; learned
    in_batch_negatives: int = 512  # negatives drawn from the targets of the batch
    uniform_negatives: int = 512  # negatives drawn uniformly from the catalog
    discovery_weight: float = 0.5  # weight of the loss of the task `new` relative to `next`


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with linear warm-up and linear decay; see `build_optimizer`."""

    learning_rate: float = 5e-3
    weight_decay: float = 1e-2  # not applied to embeddings
    warmup: int = 50  # steps
    steps: int = 500  # length of the learning-rate schedule and maximum number of steps


@dataclass(frozen=True)
class EarlyStoppingConfig:
    """Validation during training. Training stops when the validation objective stops improving."""

    validate_every: int = 250  # steps
    patience: int = 3  # validations without improvement before training stops
    cases_per_user: int = 5  # validation cases per user
    max_cases: int | None = None  # validation cases in total; None: no limit
    eval_cutoffs: tuple[int, int] = (50, 200)  # K of the recall@K values whose sum is the objective
    early_stopping_step: int | None = None  # train exactly this many steps; None: chosen on validation


@dataclass(frozen=True)
class VectorIndexConfig:
    """Nearest-neighbor search over item vectors, and the score threshold of cold items; see `ColdStartIndex`."""

    exact_up_to: int | None = None  # distinct vectors up to which search is exact; None: always exact
    cold_item_quantile: float = 0.25  # quantile of the positives' scores that a cold item has to reach
    cold_item_thresholds: dict[str, float] | None = None  # minimum score by task; None: computed on validation


@dataclass(frozen=True)
class NeuralChannelConfig:
    """Fields that every neural channel has. Channels add their encoder, sampling and loss."""

    items: ItemTowerConfig = ItemTowerConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    validation: EarlyStoppingConfig = EarlyStoppingConfig()
    index: VectorIndexConfig = VectorIndexConfig()
    seed: int = 0
