"""Config of the long_short channel, and its recipes."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.engine.config_io import change_config
from training.recall.neural_config import (
    EXACT_SEARCH_LIMIT,
    EarlyStoppingConfig,
    NeuralChannelConfig,
    OptimizerConfig,
    SampledSoftmaxConfig,
    SequenceEncoderConfig,
    WindowSamplingConfig,
)


@dataclass(frozen=True)
class RepeatScorerConfig:
    """Long-term interest and the score of repeated tracks; see `LongShortNetwork`."""

    hidden: int = 64  # width of the hidden layer of the repeat score
    max_repeat_items: int = 600  # M: tracks of the history that form the long-term interest and may be repeated


@dataclass(frozen=True)
class SessionSamplingConfig(WindowSamplingConfig):
    """Sampling of past sessions, and of as many event windows."""

    min_history_plays: int = 20  # sessions with fewer plays before them are not used
    targets_per_session: int = 16  # T: randomly drawn listens of a session that train the item vectors


@dataclass(frozen=True)
class LongShortLossConfig(SampledSoftmaxConfig):
    """Repeat loss plus item losses."""

    item_weight: float = 0.5  # weight of the item losses (sessions and windows) relative to the repeat loss


@dataclass(frozen=True)
class LongShortConfig(NeuralChannelConfig):
    """Configuration of the long_short channel."""

    encoder: SequenceEncoderConfig = field(default_factory=lambda: SequenceEncoderConfig(history_length=50, layers=1))
    repeats: RepeatScorerConfig = field(default_factory=RepeatScorerConfig)
    sampling: SessionSamplingConfig = field(default_factory=SessionSamplingConfig)
    loss: LongShortLossConfig = field(default_factory=LongShortLossConfig)
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(learning_rate=3e-3, warmup=30, steps=200)
    )
    validation: EarlyStoppingConfig = field(default_factory=lambda: EarlyStoppingConfig(validate_every=100))
    discovery_share: float | None = None  # fraction of candidates that are new to the user; None: tuned on validation
    discovery_share_grid: tuple[float, ...] = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)


def long_short_config(recipe: str) -> LongShortConfig:
    """The config of a recipe.

    `debug` checks that the code runs; `small` takes about two minutes on one core for millions of plays; `full` is for
    the best model.
    """
    small = LongShortConfig()
    if recipe == "debug":
        return change_config(
            small,
            {
                "items.width": 16,
                "repeats.hidden": 16,
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
                "encoder.layers": 2,
                "repeats.max_repeat_items": 1000,
                "sampling.batch": 128,
                "optimizer.steps": 1000,
                "validation.validate_every": 250,
                "validation.cases_per_user": 15,
                "index.exact_up_to": EXACT_SEARCH_LIMIT,
            },
        )
    return small
