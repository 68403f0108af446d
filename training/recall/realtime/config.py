"""Config of the realtime channel; `training/recipes/small.yaml` says what its fields mean."""

from __future__ import annotations

from dataclasses import dataclass

from training.recall.neural_config import (
    NeuralChannelConfig,
    SampledSoftmaxConfig,
    SequenceEncoderConfig,
    WindowSamplingConfig,
)


@dataclass(frozen=True)
class RealtimeConfig(NeuralChannelConfig):
    """Configuration of the realtime channel."""

    encoder: SequenceEncoderConfig
    sampling: WindowSamplingConfig
    loss: SampledSoftmaxConfig
    discovery_share: float
