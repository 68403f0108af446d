"""Config of the long_short channel; `training/recipes/small.yaml` says what its fields mean."""

from __future__ import annotations

from dataclasses import dataclass

from training.engine.config_io import Section
from training.recall.neural_config import (
    NeuralChannelConfig,
    SampledSoftmaxConfig,
    SequenceEncoderConfig,
    WindowSamplingConfig,
)


@dataclass(frozen=True)
class RepeatScorerConfig(Section):
    """Long-term interest and the score of repeated tracks; see `LongShortNetwork`."""

    hidden: int
    max_repeat_items: int


@dataclass(frozen=True)
class SessionSamplingConfig(WindowSamplingConfig):
    """Sampling of past sessions, and of as many event windows."""

    min_history_plays: int
    targets_per_session: int


@dataclass(frozen=True)
class LongShortLossConfig(SampledSoftmaxConfig):
    """Repeat loss plus item losses."""

    item_weight: float


@dataclass(frozen=True)
class LongShortConfig(NeuralChannelConfig):
    """Configuration of the long_short channel."""

    encoder: SequenceEncoderConfig
    repeats: RepeatScorerConfig
    sampling: SessionSamplingConfig
    loss: LongShortLossConfig
    discovery_share_grid: tuple[float, ...]
    discovery_share: float | None = None  # fraction of candidates that are new to the user; None: tuned on validation
