"""Config of the multi_interest channel, and its recipes."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.engine.config_io import change_config
from training.recall.neural_config import (
    EXACT_SEARCH_LIMIT,
    EarlyStoppingConfig,
    NeuralChannelConfig,
    OptimizerConfig,
    SampledSoftmaxConfig,
    SamplingConfig,
)


@dataclass(frozen=True)
class InterestExtractorConfig:
    """Extraction of interest vectors from a history."""

    interests: int = 4  # K: maximum number of interests
    history_length: int = 256  # L: most recent listens that interests are extracted from
    routing_iterations: int = 3
    routing_restarts: int = 8  # S: initializations that are routed; the best result is kept
    routing_sharpness: float = 16.0  # factor on the agreement that routing adds to its logits
    merge_cosine_threshold: float = 0.5  # interests whose cosine exceeds this are merged
    min_interest_share: float = 0.05  # interests with a smaller fraction of the listens are dropped


@dataclass(frozen=True)
class InterestSamplingConfig(SamplingConfig):
    """Sampling of histories with the targets that follow them."""

    targets_per_window: int = 16  # positions after the history that have targets


@dataclass(frozen=True)
class MultiInterestConfig(NeuralChannelConfig):
    """Configuration of the multi_interest channel."""

    encoder: InterestExtractorConfig = field(default_factory=InterestExtractorConfig)
    sampling: InterestSamplingConfig = field(default_factory=InterestSamplingConfig)
    loss: SampledSoftmaxConfig = field(default_factory=SampledSoftmaxConfig)
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(steps=300))
    validation: EarlyStoppingConfig = field(
        default_factory=lambda: EarlyStoppingConfig(validate_every=150, cases_per_user=3)
    )
    discovery_share: float = 0.5  # fraction of candidates that are new to the user


def multi_interest_config(recipe: str) -> MultiInterestConfig:
    """The config of a recipe.

    `debug` checks that the code runs; `small` takes about a minute on one core for millions of plays; `full` is for the
    best model.
    """
    small = MultiInterestConfig()
    if recipe == "debug":
        return change_config(
            small,
            {
                "items.width": 16,
                "encoder.history_length": 64,
                "sampling.batch": 16,
                "optimizer.steps": 20,
                "optimizer.warmup": 5,
                "validation.validate_every": 10,
                "validation.cases_per_user": 2,
            },
        )
    if recipe == "full":
        return change_config(
            small,
            {
                "items.width": 128,
                "items.min_plays": 3,
                "sampling.batch": 128,
                "optimizer.steps": 3000,
                "validation.validate_every": 500,
                "validation.cases_per_user": 10,
                "index.exact_up_to": EXACT_SEARCH_LIMIT,
            },
        )
    return small
