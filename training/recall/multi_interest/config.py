"""Config of the multi_interest channel; `training/recipes/small.yaml` says what its fields mean."""

from __future__ import annotations

from dataclasses import dataclass

from training.engine.config_io import Section
from training.recall.neural_config import NeuralChannelConfig, SampledSoftmaxConfig, SamplingConfig


@dataclass(frozen=True)
class InterestExtractorConfig(Section):
    """Extraction of interest vectors from a history."""

    interests: int
    history_length: int
    routing_iterations: int
    routing_restarts: int
    routing_sharpness: float
    merge_cosine_threshold: float
    min_interest_share: float


@dataclass(frozen=True)
class InterestSamplingConfig(SamplingConfig):
    """Sampling of histories with the targets that follow them."""

    targets_per_window: int


@dataclass(frozen=True)
class MultiInterestConfig(NeuralChannelConfig):
    """Configuration of the multi_interest channel."""

    encoder: InterestExtractorConfig
    sampling: InterestSamplingConfig
    loss: SampledSoftmaxConfig
    discovery_share: float
