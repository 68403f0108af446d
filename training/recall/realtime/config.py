"""Config of the realtime channel, and its recipes."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.engine.config_io import change_config
from training.recall.neural_config import (
    EXACT_SEARCH_LIMIT,
    NeuralChannelConfig,
    SampledSoftmaxConfig,
    SequenceEncoderConfig,
    WindowSamplingConfig,
)


@dataclass(frozen=True)
class RealtimeConfig(NeuralChannelConfig):
    """Configuration of the realtime channel."""

    encoder: SequenceEncoderConfig = field(default_factory=SequenceEncoderConfig)
    sampling: WindowSamplingConfig = field(default_factory=WindowSamplingConfig)
    loss: SampledSoftmaxConfig = field(default_factory=SampledSoftmaxConfig)
    discovery_share: float = (
        0.5  # fraction of candidates that are new to the user; tasks without a share are not trained
    )


def realtime_config(recipe: str) -> RealtimeConfig:
    """The config of a recipe.

    `debug` checks that the code runs; `small` takes about a minute on one core for millions of plays; `full` is for the
    best model.
    """
    small = RealtimeConfig()
    if recipe == "debug":
        return change_config(
            small,
            {
                "items.width": 16,
                "encoder.layers": 1,
                "sampling.batch": 16,
                "optimizer.steps": 20,
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
                "optimizer.steps": 6000,
                "validation.validate_every": 1000,
                "validation.cases_per_user": 10,
                "index.exact_up_to": EXACT_SEARCH_LIMIT,
            },
        )
    return small
